"""The shell of the command: subcommands, exit codes, one line of error, and no torch where nothing is computed."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from manyhot.__main__ import EXIT_INTERRUPTED, run
from manyhot.cli.main import COMMANDS, main
from manyhot.errors import SourceError, StoppedError

HEAVY = ("torch", "numba", "lightning", "timm", "cv2", "sklearn", "scipy", "pyarrow")


def command(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "manyhot", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


def failing(error: BaseException):
    def run(arguments: list[str]) -> int:
        raise error

    return run


def replace_train(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    monkeypatch.setattr("manyhot.cli.train.run", failing(error))


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_help_and_version_load_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom manyhot.cli.main import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as stop:\n    assert stop.code == 0, stop.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.strip() == "[]"
    assert "manyhot" in done.stdout


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in COMMANDS)
    assert max(len(line) for line in text.splitlines()) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_fits_80_columns(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([name, "--help"]) == 0
    assert max(len(line) for line in capsys.readouterr().out.splitlines()) <= 80


def test_a_mistyped_command_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    text = capsys.readouterr().err
    assert text.startswith("manyhot: error: 'trian' is no command")
    assert "did you mean 'train'?" in text
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (["train", "data", "--epocs", "3"], "did you mean '--epochs'?"),
        (["train", "--epocs=3"], "did you mean '--epochs'?"),
        (["predict", "run", "a.jpg", "--outt", "x.csv"], "did you mean '--out'?"),
        (["evaluate", "run", "--jsn", "x"], "did you mean '--json'?"),
        (["check", "--rum", "x"], "did you mean '--run'?"),
        (["demo", "--sed", "1"], "did you mean '--seed'?"),
        (["--versoin"], "did you mean '--version'?"),
    ],
)
def test_a_mistyped_flag_gets_a_suggestion(
    arguments: list[str], suggestion: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert suggestion in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["train"],
        ["train", "a", "a"],
        ["train", "data", "--epoch", "3"],
        ["train", "data", "--epochs"],
        ["train", "data", "--images.size"],
        ["predict", "run"],
        ["evaluate"],
        ["evaluate", "run", "--min-positives", "few"],
        ["evaluate", "run", "--images.size", "3"],
        ["check"],
        ["check", "data", "--run", "run"],
        ["check", "data", "--data.path", "other"],
        ["demo", "--seed", "x"],
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("manyhot: error: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_an_error_is_one_line_and_exit_code_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_train(monkeypatch, SourceError("a.csv: line 3\nis too long"))
    assert main(["train"]) == 1
    assert capsys.readouterr().err == "manyhot: error: a.csv: line 3 is too long\n"


def test_a_stop_after_a_checkpoint_is_exit_code_3(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_train(monkeypatch, StoppedError("stopped at epoch 2; go on with --resume"))
    assert main(["train"]) == 3


def test_a_file_that_cannot_be_written_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_train(monkeypatch, PermissionError(13, "Permission denied", "/root/x.csv"))
    assert main(["train"]) == 1
    assert capsys.readouterr().err == "manyhot: error: /root/x.csv: Permission denied\n"


def test_ctrl_c_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    replace_train(monkeypatch, KeyboardInterrupt())
    monkeypatch.setattr(sys, "argv", ["manyhot", "train"])
    assert run() == EXIT_INTERRUPTED
    assert capsys.readouterr().err == "manyhot: error: stopped before it was done\n"


@pytest.mark.parametrize("module", ["manyhot.cli.main", "manyhot.errors", "manyhot.cli.train", "numpy"])
def test_ctrl_c_while_a_module_is_loaded_is_one_line(module: str) -> None:
    code = f"""if True:
        import sys
        class Stopping:
            def find_spec(self, name, *_):
                if name == {module!r}:
                    raise KeyboardInterrupt
        sys.meta_path.insert(0, Stopping())
        sys.argv[1:] = ["train", "nowhere"]
        from manyhot.__main__ import run
        sys.exit(run())
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (130, "manyhot: error: stopped before it was done\n")


def test_the_traceback_is_shown_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_train(monkeypatch, SourceError("x"))
    monkeypatch.setenv("MANYHOT_TRACEBACK", "1")
    with pytest.raises(SourceError):
        main(["train"])


@pytest.mark.parametrize(
    ("end", "code", "told"),
    [
        ("return 0", 1, ""),
        ("raise KeyboardInterrupt", 130, "manyhot: error: stopped before it was done\n"),
        ("raise main.UsageError('no such flag')", 2, "manyhot: error: no such flag\n"),
        ("raise main.StoppedError('go on')", 3, "manyhot: error: go on\n"),
    ],
)
def test_a_reader_that_leaves_early_takes_no_error_away_and_makes_no_noise(end: str, code: int, told: str) -> None:
    script = f"""if True:
        import sys
        from manyhot.__main__ import run
        from manyhot.cli import main
        def show_and_end(arguments):
            print("x" * 10)
            {end}
        main._run = show_and_end
        sys.exit(run())
    """
    # What is written waits for more, so that the last flush is the first to meet the closed pipe.
    options = {"env": {**os.environ, "PYTHONUNBUFFERED": ""}, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", script], **options) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        complaint = process.stderr.read()
        assert process.wait(timeout=60) == code
    assert complaint.decode().replace(os.linesep, "\n") == told


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is always full")
@pytest.mark.parametrize("arguments", [["--help"], ["pack", "--help"]])
def test_a_full_disk_under_the_output_is_one_line(arguments: list[str]) -> None:
    # Not unbuffered: the last flush is the first to fail.
    options = {"env": {**os.environ, "PYTHONUNBUFFERED": ""}, "stderr": subprocess.PIPE, "timeout": 60, "text": True}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-m", "manyhot", *arguments], stdout=full, check=False, **options)
    assert done.returncode == 1
    assert done.stderr == "manyhot: error: [Errno 28] No space left on device\n"


def test_text_that_the_terminal_cannot_show_is_escaped() -> None:
    done = command("train", "data", "--images.größe", "3", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("manyhot: error: ")


def test_the_module_runs_as_the_command(tmp_path: Path) -> None:
    done = command("predict", str(tmp_path / "no-run"), "a.jpg")
    assert done.returncode == 1
    assert done.stderr.startswith("manyhot: error: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_help_answers_in_half_a_second() -> None:
    took: list[float] = []
    for _ in range(5):
        start = time.perf_counter()
        assert command("--help").returncode == 0
        took.append(time.perf_counter() - start)
    # The best of five: the machine's other work is not the command's.
    assert min(took) < 0.5
