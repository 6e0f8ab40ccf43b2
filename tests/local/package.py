"""Packs functions for the local AWS: `python package.py BINARIES PACKAGES NAME...`.

Each becomes PACKAGES/NAME.zip, with the binary as `bootstrap`, as Lambda takes it. A package that has its binary's time is left as it is. The AWS CLI
packs what a template names itself, but one after the other and as small as can be, which takes half a minute for functions with their debug information.
"""

import os
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def pack(binary: Path, package: Path) -> None:
    # Not merely a later one: cargo may put an older binary back.
    time = binary.stat().st_mtime_ns
    if package.exists() and package.stat().st_mtime_ns == time:
        return
    # Whole under its name, or not there; somebody else may pack beside this.
    partial = package.with_suffix(f".{os.getpid()}.partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.write(binary, "bootstrap")
    os.utime(partial, ns=(time, time))
    os.replace(partial, package)


def main() -> None:
    binaries, packages = Path(sys.argv[1]), Path(sys.argv[2])
    packages.mkdir(exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        # Asked for one by one, so that the first error ends it.
        for _ in threads.map(lambda name: pack(binaries / name, packages / f"{name}.zip"), sys.argv[3:]):
            pass


main()
