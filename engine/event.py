"""Event: something a person or a cloud must know. Kinds are a closed list with their texts in en and zh."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["info", "warning", "error"]

# kind: (severity, en, zh); {names} are filled from meter, bus and data.
KINDS: dict[str, tuple[Severity, str, str]] = {
    "boot": ("info", "gateway started", "网关已启动"),
    "stop": ("info", "gateway stopped cleanly", "网关已正常停止"),
    "box_gap": ("warning", "the gateway was off for {seconds} s", "网关停机 {seconds} 秒"),
    "epoch": ("warning", "a new ledger history begins: {reason}", "账本历史重新开始：{reason}"),
    "clock": ("info", "clock: {cause}, offset {offset_ms} ms", "时钟：{cause}，偏移 {offset_ms} 毫秒"),
    "meter_silent": ("warning", "{meter} does not answer: {reason}", "{meter} 无应答：{reason}"),
    "meter_back": ("info", "{meter} answers again after {seconds} s", "{meter} 恢复应答，中断 {seconds} 秒"),
    "bus_down": ("error", "bus {bus} is down: {reason}", "总线 {bus} 中断：{reason}"),
    "bus_up": ("info", "bus {bus} is back", "总线 {bus} 已恢复"),
    "bad_answer": ("warning", "{meter} gave a wrong answer: {reason}", "{meter} 应答错误：{reason}"),
    "counter_rollover": ("info", "{meter}: {quantity} rolled over from {before} to {after}",
                         "{meter}：{quantity} 计数器翻转 {before} → {after}"),
    "counter_reset": ("warning",
                      "{meter}: {quantity} was reset from {before} to {after}; the energy between is not counted",
                      "{meter}：{quantity} 计数器由 {before} 复位为 {after}；其间电量不计"),
    "counter_jump": ("error",
                     "{meter}: {quantity} jumped from {before} to {after}, more than rated power allows; not counted",
                     "{meter}：{quantity} 由 {before} 跳变至 {after}，超出额定功率允许值；不计入"),
    "counter_glitch": ("warning",
                       "{meter}: {quantity} showed {after} for a moment, before and after {before}; ignored",
                       "{meter}：{quantity} 瞬时读数 {after}，前后为 {before}；已忽略"),
    "counter_lost": ("warning", "{meter}: {quantity} is missing while others come; its intervals close without it",
                     "{meter}：缺少 {quantity}，其余正常；相应区间不含该量"),
    "recount": ("warning", "{meter}: counting starts anew at the next interval: {reason}",
                "{meter}：从下一区间重新开始计量：{reason}"),
    "gap": ("warning", "{meter}: no reading for {seconds} s", "{meter}：{seconds} 秒无读数"),
    "late": ("info", "{meter}: {readings} late readings were stored", "{meter}：已存储 {readings} 条迟到读数"),
    "disk_full": ("error", "the disk is full: readings wait in memory, {lost} were lost",
                  "磁盘已满：读数暂存内存，已丢失 {lost} 条"),
    "disk_ok": ("info", "the disk takes data again", "磁盘恢复写入"),
    "config_applied": ("info", "configuration {digest} is in force", "配置 {digest} 已生效"),
    "config_rejected": ("error", "the new configuration was refused, the last good one stays: {reason}",
                        "新配置被拒绝，沿用上一份有效配置：{reason}"),
    "decision": ("info", "{author}: {action} ({reason})", "{author}:{action}({reason})"),
    "ticks_late": ("warning", "bus {bus} skipped {skipped} polls: it cannot keep its interval",
                   "总线 {bus} 跳过 {skipped} 次轮询：无法保证采集间隔"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the `events` stream. Times in ms UTC; `data` is small and JSON-ready."""

    t_ms: int
    kind: str
    meter: str | None = None
    bus: str | None = None
    until_ms: int | None = None
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def severity(self) -> Severity:
        return KINDS[self.kind][0]

    def text(self) -> dict[str, str]:
        """The sentence in both languages."""
        _, en, zh = KINDS[self.kind]
        return {language: form.format_map(self._words(language)) for language, form in (("en", en), ("zh", zh))}

    def _words(self, language: str) -> _Blank:
        """Words for the sentence; a word that is itself in two languages, `{"en", "zh"}`, gives its own."""
        words = {"meter": self.meter, "bus": self.bus, **self.data}
        return _Blank({k: v[language] if isinstance(v, dict) and language in v else v for k, v in words.items()})


class _Blank(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"
