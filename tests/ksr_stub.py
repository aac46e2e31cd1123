"""What Kamailio's `KSR` module offers, read from its stub."""

from __future__ import annotations

import ast
import types
from dataclasses import dataclass
from pathlib import Path

STUB = Path(__file__).resolve().parent.parent / "kemi" / "stubs" / "KSR.pyi"
TYPES: dict[str, type] = {"int": int, "str": str, "bool": bool, "None": types.NoneType}


@dataclass(frozen=True, slots=True)
class Signature:
    """What one KEMI function takes and gives, as words of Python's type annotations."""

    params: tuple[str, ...]
    result: str

    def accepts(self, args: tuple[object, ...]) -> bool:
        """True when number and types of the arguments are right; bool is no int here."""
        return [TYPES[each] for each in self.params] == [type(each) for each in args]

    def gives(self, value: object) -> bool:
        """True when the function can give such a value."""
        return type(value) in [TYPES[each] for each in self.result.split(" | ")]


def read_stub(text: str) -> dict[str, Signature]:
    """Read a KSR stub into `tm.t_relay` -> signature."""

    def functions(body: list[ast.stmt], prefix: str) -> dict[str, Signature]:
        return {
            prefix + each.name: Signature(
                tuple(ast.unparse(arg.annotation) for arg in each.args.posonlyargs if arg.annotation),
                ast.unparse(each.returns) if each.returns else "",
            )
            for each in body
            if isinstance(each, ast.FunctionDef)
        }

    tree = ast.parse(text)
    found = functions(tree.body, "")
    for each in tree.body:
        if isinstance(each, ast.ClassDef) and each.name != "Message":
            found |= functions(each.body, f"{each.name}.")
    return found
