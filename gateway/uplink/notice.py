"""What the uplink tells people: a closed list of kinds, each with its sentence and its hint in en and zh."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from engine.errors import NoAck, NotAuthorised, Unreachable, UplinkError
from gateway.uplink.backoff import Pace


class _Kind(NamedTuple):
    severity: str  # info | warning | error
    en: str
    zh: str
    hint_en: str = ""
    hint_zh: str = ""
    pace: Pace = "quick"  # of the next attempt, where the notice ends a connection
    error: type[UplinkError] = Unreachable


KINDS: dict[str, _Kind] = {
    "started": _Kind("info", "uplink started", "上传进程已启动"),
    "stopped": _Kind("info", "uplink stopped cleanly", "上传进程已正常停止"),
    "connected": _Kind("info", "connected to {broker}, proof {proof}", "已连接 {broker}，送达凭证 {proof}"),
    "disconnected": _Kind(
        "warning", "the connection to {broker} was lost: {reason}", "与 {broker} 的连接中断：{reason}",
        "nothing is lost, sending goes on by itself; if it repeats, look into the broker's log",
        "数据不会丢失，将自动续传；若反复出现，请查看服务器日志",
    ),
    "unreachable": _Kind(
        "warning", "{broker} cannot be reached: {reason}", "无法连接 {broker}：{reason}",
        "is the broker running and the address right? try: mosquitto_sub -h HOST -p PORT -t '$SYS/#' -C 1",
        "请确认服务器已运行且地址正确；可试:mosquitto_sub -h HOST -p PORT -t '$SYS/#' -C 1",
    ),
    "tls_failed": _Kind(
        "error", "no trusted TLS connection to {broker}: {reason}", "与 {broker} 的 TLS 连接不可信：{reason}",
        "ca_file must be the authority that signed the broker's certificate, and the host in [mqtt] url must "
        "be the name in it; try: openssl s_client -connect HOST:PORT",
        "ca_file 须为签发服务器证书的 CA,[mqtt] url 中的主机名须与证书一致;"
        "可试:openssl s_client -connect HOST:PORT",
        "slow",
    ),
    "files": _Kind(
        "error", "a file named in [mqtt] cannot be used: {reason}", "[mqtt] 中指定的文件无法使用：{reason}",
        "the user of the uplink must be able to read it: ls -l FILE",
        "上传进程的用户须有读取权限:ls -l FILE", "slow",
    ),
    "not_authorised": _Kind(
        "error", "{broker} refuses this gateway: {reason}", "{broker} 拒绝本网关：{reason}",
        "check username and password_file in [mqtt], and that the broker lets client id {client} connect",
        "请检查 [mqtt] 中的 username 与 password_file,并确认服务器允许客户端标识 {client} 连接",
        "slow", NotAuthorised,
    ),
    "protocol": _Kind(
        "error", "{broker} does not speak MQTT {version}: {reason}",
        "{broker} 不支持 MQTT {version}：{reason}",
        'for a broker without MQTT 5 set version = "3.1.1" in [mqtt]; its acknowledgement is a weaker proof',
        '若服务器不支持 MQTT 5,请在 [mqtt] 中设置 version = "3.1.1";其确认的证明力较弱', "slow",
    ),
    "unwelcome": _Kind(
        "warning", "{broker} closed the connection without an MQTT answer: {reason}",
        "{broker} 未作 MQTT 应答即关闭连接：{reason}",
        "is it an MQTT port, and for TLS is the url mqtts://? A broker without MQTT 5 may do so too: then set "
        'version = "3.1.1" in [mqtt]',
        '请确认端口为 MQTT 端口,TLS 端口须用 mqtts://;不支持 MQTT 5 的服务器也会如此,可设置 version = "3.1.1"',
    ),
    "refused": _Kind(
        "warning", "{broker} refuses the connection for now: {reason}", "{broker} 暂时拒绝连接：{reason}",
        "the broker is busy or restarting; the attempt is repeated by itself",
        "服务器繁忙或正在重启，将自动重试",
    ),
    "taken_over": _Kind(
        "error", "another client connected as {client} and {broker} closed this connection",
        "另一客户端以 {client} 登录，{broker} 关闭了本连接",
        "two gateways have the same site and gateway id: change [site] gateway of one of them",
        "两台网关的 site 与 gateway 标识相同：请修改其中一台的 [site] gateway", "slow",
    ),
    "ack_timeout": _Kind(
        "warning", "{broker} did not acknowledge within {seconds} s", "{broker} 在 {seconds} 秒内未确认",
        "a new connection is made and the rows are sent again; if it repeats, the broker is overloaded",
        "将重新连接并重发；若反复出现，服务器可能过载或停止响应", "quick", NoAck,
    ),
    "publish_refused": _Kind(
        "error", "{broker} refuses {stream} from seq {first} on: {reason}",
        "{broker} 自序号 {first} 起拒收 {stream}：{reason}",
        "the broker's access rules must allow {client} to publish to wattledger/v1/#; the rows wait here",
        "服务器的访问规则须允许 {client} 发布到 wattledger/v1/#;数据在本地等待",
    ),
    "too_large": _Kind(
        "error", "row {first} of {stream} is larger than the {bytes} bytes that {broker} takes",
        "{stream} 的第 {first} 行超过 {broker} 允许的 {bytes} 字节",
        "raise the broker's maximum packet size; the rows wait here",
        "请提高服务器的最大报文长度；数据在本地等待",
    ),
    "no_subscriber": _Kind(
        "warning", "the broker is there, nobody subscribes to {stream}", "服务器在线，但无人订阅 {stream}",
        "start the receiver, or set no_subscriber = \"accept\" in [mqtt] if the broker keeps the data itself",
        "请启动接收端；若服务器自行保存数据，可在 [mqtt] 中设置 no_subscriber = \"accept\"",
    ),
    "subscribed": _Kind("info", "somebody subscribes to {stream} again", "{stream} 已有订阅者"),
    "ledger": _Kind(
        "error", "the ledger cannot be read: {reason}", "无法读取账本：{reason}",
        "is collect running? wattledger status", "采集进程是否在运行?wattledger status",
    ),
    "history": _Kind(
        "error", "{stream}: the ledger does not hold the rows that were delivered up to seq {cursor}",
        "{stream}：账本与已送达至序号 {cursor} 的数据不一致",
        "the ledger was restored or exchanged: restart collect, it begins a new epoch and everything is sent",
        "账本曾被恢复或更换：请重启采集进程，将开始新的历史并重新发送",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell. `words` fill the sentences and are kept with it."""

    kind: str
    words: dict[str, Any] = field(default_factory=dict)

    @property
    def severity(self) -> str:
        return KINDS[self.kind].severity

    @property
    def pace(self) -> Pace:
        return KINDS[self.kind].pace

    def text(self) -> dict[str, str]:
        kind = KINDS[self.kind]
        return {"en": kind.en.format_map(self.words), "zh": kind.zh.format_map(self.words)}

    def hint(self) -> dict[str, str]:
        kind = KINDS[self.kind]
        return {"en": kind.hint_en.format_map(self.words), "zh": kind.hint_zh.format_map(self.words)}

    def json(self) -> dict[str, Any]:
        return {
            "kind": self.kind, "severity": self.severity, "text": self.text(), "hint": self.hint(),
            "data": self.words,
        }  # fmt: skip


class UplinkFault(UplinkError):
    """An uplink error that carries its notice."""

    def __init__(self, notice: Notice) -> None:
        super().__init__(notice.text()["en"], hint=notice.hint()["en"])
        self.notice = notice


class BrokerUnreachable(UplinkFault, Unreachable):
    pass


class BrokerRefusal(UplinkFault, NotAuthorised):
    pass


class AckOverdue(UplinkFault, NoAck):
    pass


def fault(kind: str, **words: Any) -> UplinkFault:
    """The error that a notice of this kind is raised as."""
    notice = Notice(kind, words)
    error = KINDS[kind].error
    if error is NotAuthorised:
        return BrokerRefusal(notice)
    return AckOverdue(notice) if error is NoAck else BrokerUnreachable(notice)
