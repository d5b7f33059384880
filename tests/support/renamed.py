# SPDX-License-Identifier: Apache-2.0
"""A test module with every local variable under another name."""

from __future__ import annotations

import ast

_SUFFIX = "_by_another_name"


class _Renaming(ast.NodeTransformer):
    """Renames, in each function, what it binds itself: parameters are fixtures and keep theirs."""

    def __init__(self) -> None:
        self.locals: set[str] = set()

    def visit_FunctionDef(self, function: ast.FunctionDef) -> ast.AST:
        before = self.locals
        parameters = {argument.arg for argument in function.args.args}
        bound = {
            node.id
            for node in ast.walk(function)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        self.locals = before | (bound - parameters)
        self.generic_visit(function)
        self.locals = before
        return function

    def visit_Name(self, name: ast.Name) -> ast.AST:
        return ast.Name(name.id + _SUFFIX, name.ctx) if name.id in self.locals else name


def renamed(source: str) -> str:
    """The module's source, every local variable of every function renamed."""
    tree = _Renaming().visit(ast.parse(source))
    return ast.unparse(ast.fix_missing_locations(tree))
