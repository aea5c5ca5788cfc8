"""Generates protos/gen from protos/kejing: messages, services, type stubs and one descriptor set for buf.

Run by `make protos`; does nothing while no contract has changed. With a file's name, writes there what is offered now,
as a descriptor set without comments: the base that later contracts must stay compatible with.

Needs no network: the validation rules' descriptor comes out of the protovalidate wheel, Google's common types out of
googleapis-common-protos.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from google.protobuf import descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2
from google.type import date_pb2
from protovalidate._gen.buf.validate import validate_pb

PROTOS = Path(__file__).parent
GEN = PROTOS / "gen"
IMAGE = GEN / "kejing.binpb"
STAMP = GEN / ".stamp"


def fingerprint() -> str:
    """Hash of every contract, of this program and of the generators' versions."""
    digest = hashlib.sha256()
    for path in [Path(__file__), *contracts()]:
        digest.update(path.relative_to(PROTOS).as_posix().encode() + path.read_bytes())
    for tool in ("grpcio-tools", "mypy-protobuf", "protovalidate"):
        digest.update(version(tool).encode())
    return digest.hexdigest()


def contracts() -> list[Path]:
    return sorted(PROTOS.glob("kejing/**/*.proto"))


def write_validation_rules(path: Path) -> None:
    """Writes buf/validate/validate.proto, with what it imports, as a FileDescriptorSet."""
    files = descriptor_pb2.FileDescriptorSet()
    for module in (descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2):
        module.DESCRIPTOR.CopyToProto(files.file.add())
    files.file.add().ParseFromString(validate_pb._DESC.proto.to_binary())
    path.write_bytes(files.SerializeToString())


def compile_source(source: Path, *outputs: str) -> None:
    """Runs protoc over `source` (a folder that holds kejing/); `outputs` are its --…_out options.

    Raises SystemExit with protoc's own message when a contract is wrong.
    """
    names = [path.relative_to(source).as_posix() for path in sorted(source.glob("kejing/**/*.proto"))]
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder, "validate.binpb")
        write_validation_rules(rules)
        protoc = [sys.executable, "-m", "grpc_tools.protoc", f"--descriptor_set_in={rules}"]
        google = Path(date_pb2.__file__).parents[2]
        run([*protoc, f"-I{source}", f"-I{google}", "--include_imports", "--include_source_info", *outputs, *names])
        for output in outputs:
            if output.startswith(("--python_out", "--mypy_out")):
                run([*protoc, output, "buf/validate/validate.proto"])


def run(command: list[str]) -> None:
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}  # protoc-gen-mypy lies there
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)


def main() -> None:
    stamp = fingerprint()
    if STAMP.exists() and STAMP.read_text() == stamp:
        return
    fresh = Path(tempfile.mkdtemp(dir=PROTOS, prefix=".gen-"))
    try:
        compile_source(PROTOS, f"--python_out={fresh}", f"--grpc_python_out={fresh}", f"--mypy_out=quiet:{fresh}",
                       f"--mypy_grpc_out=quiet:{fresh}", f"--descriptor_set_out={fresh / IMAGE.name}")  # fmt: skip
        for folder in [p for p in fresh.rglob("*") if p.is_dir() and p.name != "buf"]:
            (folder / "__init__.py").touch()
        (fresh / "kejing" / "py.typed").touch()
        (fresh / STAMP.name).write_text(stamp)
        shutil.rmtree(GEN, ignore_errors=True)
        fresh.rename(GEN)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def write_release(path: Path) -> None:
    """Writes the generated descriptor set to `path`, without comments."""
    files = descriptor_pb2.FileDescriptorSet.FromString(IMAGE.read_bytes())
    for file in files.file:
        file.ClearField("source_code_info")
    path.write_bytes(files.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
    for name in sys.argv[1:]:
        write_release(Path(name))
