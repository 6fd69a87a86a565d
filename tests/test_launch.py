"""How the command lines of both packages say what is wrong."""

from __future__ import annotations

from importlib import import_module

import pytest
from torch._utils import ExceptionWrapper

PACKAGES = ("animal_ner", "animal_cls")


@pytest.fixture(params=PACKAGES)
def package(request):
    return request.param


def error_of(package):
    return import_module(f"{package}.module").CheckpointError


@pytest.mark.parametrize("in_a_worker", [False, True])
def test_bad_input_is_told_in_one_line_also_when_a_worker_of_a_loader_meets_it(package, in_a_worker, capsys):
    error = error_of(package)

    def run():
        try:
            raise error("a.jpg: not a picture")
        except error:
            if not in_a_worker:
                raise
            met = ExceptionWrapper(where="in DataLoader worker process 0")  # as torch hands it on
        met.reraise()

    assert import_module(f"{package}.launch").exit_code(run, (error,)) == 2
    assert capsys.readouterr().err == f"{package}: a.jpg: not a picture\n"


def test_what_is_no_bad_input_keeps_its_traceback(package):
    def run():
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        import_module(f"{package}.launch").exit_code(run, (error_of(package),))


def test_what_runs_through_gives_0(package, capsys):
    assert import_module(f"{package}.launch").exit_code(lambda: None, (error_of(package),)) == 0
    assert capsys.readouterr().err == ""
