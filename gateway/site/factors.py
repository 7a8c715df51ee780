"""Emission factors on the disk: the packs `config/factors/*.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from engine.carbon import Factor, parse_factors
from engine.errors import ConfigError
from gateway.paths import data_dir
from gateway.site.problem import nearest

# Which factors an accounting profile may use, by their scope. The market-based figure falls back on the grid average.
SCOPES = {
    "ghgp-location": ("2-location",),
    "ghgp-market": ("2-market", "2-market-residual", "2-location"),
    "cn-ets-2023": ("2-location",),
    "cn-net-purchase": ("2-location", "2-special"),
}


def load_factors(directory: Path | None = None) -> dict[str, Factor]:
    """Every factor by id. Raises ConfigError: unreadable, not TOML, wrong, or one id in two packs."""
    folder = directory or data_dir("config") / "factors"
    found: dict[str, Factor] = {}
    for path in sorted(folder.glob("*.toml")):
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: {error}", hint=f"look at it: ls -l {path}") from error
        pack = parse_factors(table, path.name)
        if twice := sorted(set(pack) & set(found)):
            hint = "ids are for ever: the newer one needs another, or a higher revision in its own pack"
            raise ConfigError(f"{path}: factor {twice[0]} stands in another pack already", hint=hint)
        found |= pack
    return found


def load_factor(name: str, directory: Path | None = None) -> Factor:
    """The factor with this id. Raises ConfigError with the nearest names."""
    factors = load_factors(directory)
    if name not in factors:
        near = nearest_factors(name, factors)
        raise ConfigError(f'unknown carbon factor "{name}"', hint=f"write {near}")
    return factors[name]


def nearest_factors(name: str, factors: Mapping[str, Factor]) -> str:
    """`"a" or "b"`: the ids most like `name`, newest year first where only the year differs."""
    stem = name.rpartition(".")[0]
    same = sorted((id_ for id_ in factors if stem and id_.rpartition(".")[0] == stem), reverse=True)
    return " or ".join(f'"{id_}"' for id_ in same[:3]) or nearest(name, factors) or '"cn.grid.national.2023"'
