"""Signed statements: they hold by the reader's own list of keys, for the bodies that were signed, and go along with rows."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cell_builder import make_cells, write_cells
from w2s_bench._cli.app import app
from w2s_bench.errors import CellError, W2SBenchError
from w2s_bench.record import digest_of
from w2s_bench.results.checking.rules import check
from w2s_bench.results.combining.submitting import submit
from w2s_bench.results.files import read_cells
from w2s_bench.results.leaderboard import write_leaderboard
from w2s_bench.results.report.page import render
from w2s_bench.results.report.reading import read_folder
from w2s_bench.results.signatures import NAMESPACE, Statement, read_signatures, why_not

needs_tool = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen: openssh-client")
ALICE = "alice@example.org"
ROW = "math/acme.margin"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two keys, and a file that allows the first as Alice's."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("alice", "mallory"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
        subprocess.run(command, check=True)
    public = " ".join((folder / "alice.pub").read_text().split()[:2])
    (folder / "allowed").write_text(f'{ALICE} namespaces="{NAMESPACE}" {public}\n')
    return folder


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write_cells(tmp_path / "toy", make_cells(items=60))


def sign(results: Path, key: Path, namespace: str = NAMESPACE) -> Path:
    path = Statement.of(read_cells(results), ALICE).write(results)
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", namespace, str(path)], check=True)
    return path


def alter(results: Path, row: str) -> None:
    path = results / f"results/{row}.json"
    content = json.loads(path.read_text())
    content["body"]["seeds"][0]["diagnostics"] = {}
    content["digest"] = digest_of(content["body"])
    path.write_text(json.dumps(content))


def found(results: Path, allowed: Path | None) -> list[tuple[str, str]]:
    findings = check(results, pages=False, allowed_signers=allowed).findings
    return [(f.level, f.found) for f in findings if f.rule == "signatures"]


@needs_tool
def test_a_signature_holds_and_is_shown(results: Path, keys: Path) -> None:
    sign(results, keys / "alice")
    assert found(results, keys / "allowed") == []
    assert found(results, None) == [("note", "1 signed statements are not verified")]
    board = write_leaderboard(results)
    assert board.signed[ROW] == (ALICE,)
    page = (results / "README.md").read_text()
    assert f"Signed: {board.cells} of {board.cells} cells" in page and f"by `{ALICE}`" in page
    assert check(results, allowed_signers=keys / "allowed").passed
    assert f"signed: <bdi>{ALICE}</bdi>" in render([read_folder(results)])


@needs_tool
@pytest.mark.parametrize(("key", "namespace"), [("mallory", NAMESPACE), ("alice", "file")])
def test_another_key_or_purpose_does_not_hold(results: Path, keys: Path, key: str, namespace: str) -> None:
    sign(results, keys / key, namespace)
    [(level, told)] = found(results, keys / "allowed")
    assert level == "error" and f"no signature of {ALICE} by allowed" in told


@needs_tool
def test_what_is_edited_after_signing_is_found(results: Path, keys: Path) -> None:
    path = sign(results, keys / "alice")
    alter(results, ROW)
    assert found(results, keys / "allowed") == [("error", f"{ROW}: changed after {ALICE} signed")]
    # Whoever edits the statement too breaks the signature.
    content = json.loads(path.read_text())
    content["rows"][ROW] = next(cell.digest for cell in read_cells(results) if cell.row == ROW)
    path.write_text(json.dumps(content, indent=1) + "\n")
    [(level, told)] = found(results, keys / "allowed")
    assert level == "error" and "no signature" in told


@needs_tool
def test_a_signature_that_came_after_the_page_is_no_error(results: Path, keys: Path) -> None:
    write_leaderboard(results)
    sign(results, keys / "alice")
    assert not check(results, allowed_signers=keys / "allowed").errors
    page = results / "README.md"
    page.write_text(page.read_text(encoding="utf-8") + "x", encoding="utf-8")
    assert [finding.file for finding in check(results, allowed_signers=keys / "allowed").errors] == ["README.md"]


@needs_tool
def test_signatures_go_along_with_rows_where_they_hold(results: Path, keys: Path, tmp_path: Path) -> None:
    board = Path(shutil.copytree(results, tmp_path / "boards" / "toy"))
    (board / f"results/{ROW}.json").unlink()
    path = sign(results, keys / "alice")
    done = submit(results, Path(shutil.copytree(board, tmp_path / "one")))
    assert done.copied == (ROW,) and done.unverified == 1 and not read_signatures(tmp_path / "one")
    done = submit(results, board, allowed_signers=keys / "allowed")
    assert done.copied == (ROW,) and done.signatures == (path.name,)
    assert check(board, allowed_signers=keys / "allowed").passed
    alter(results, ROW)
    ran = CliRunner().invoke(
        app,
        [
            "submit",
            str(results),
            "--to",
            str(tmp_path / "one"),
            "--replace",
            "--allowed-signers",
            str(keys / "allowed"),
        ],
    )
    assert ran.exit_code == 1 and f"{ROW}: changed after {ALICE} signed" in ran.output
    assert "Copied 0 cells" in ran.output


def test_the_command_writes_what_to_sign_and_says_how(results: Path) -> None:
    ran = CliRunner().invoke(app, ["submit", str(results), "--statement", ALICE])
    assert ran.exit_code == 0 and f"ssh-keygen -Y sign -f ~/.ssh/id_ed25519 -n {NAMESPACE} " in ran.output
    [path] = (results / "signatures").glob("*.json")
    with pytest.raises(CellError, match=r"has no signature .*\.json\.sig beside it"):
        read_signatures(results)
    assert [f.level for f in check(results, pages=False).findings if f.rule == "signatures"] == ["error"]
    path.with_name(f"{path.name}.sig").write_text("no signature")
    assert len(read_signatures(results)) == 1
    ran = CliRunner().invoke(app, ["submit", str(results), "--statement", "-oProxy x"])
    assert ran.exit_code == 2


def test_without_the_tool_or_the_list_it_is_said(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Statement.of(read_cells(results), ALICE).write(results)
    path.with_name(f"{path.name}.sig").write_text("no signature")
    [signed] = read_signatures(results)
    with pytest.raises(W2SBenchError, match="no file of allowed signers"):
        why_not(signed, tmp_path / "nowhere")
    (tmp_path / "allowed").write_text("")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(W2SBenchError, match="apt-get install openssh-client"):
        why_not(signed, tmp_path / "allowed")


@pytest.mark.parametrize(
    "text", ["{}", '{"schema": "w2s-bench/signed/1", "signer": "-x", "suite": "", "rows": {}}', "["]
)
def test_what_is_no_statement_is_an_error(results: Path, text: str) -> None:
    (results / "signatures").mkdir()
    (results / "signatures" / "a.json").write_text(text)
    with pytest.raises(CellError, match=r"a\.json is no statement of schema"):
        read_signatures(results)
    assert read_folder(results).faults[0].startswith(str(results / "signatures"))
