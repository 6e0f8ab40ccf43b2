"""Packs functions for the local AWS: `python package.py BINARIES PACKAGES NAME...`.

Each becomes PACKAGES/NAME.zip, with the binary as `bootstrap`, as Lambda takes it. A package that is newer than its binary is left as it is. The AWS CLI
packs what a template names itself, but one after the other and as small as can be, which takes half a minute for functions with their debug information.
"""

import os
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def pack(binary: Path, package: Path) -> None:
    if package.exists() and package.stat().st_mtime_ns > binary.stat().st_mtime_ns:
        return
    # Whole under its name, or not there.
    partial = package.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.write(binary, "bootstrap")
    os.replace(partial, package)


def main() -> None:
    binaries, packages = Path(sys.argv[1]), Path(sys.argv[2])
    packages.mkdir(exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        # Asked for one by one, so that the first error ends it.
        for _ in threads.map(lambda name: pack(binaries / name, packages / f"{name}.zip"), sys.argv[3:]):
            pass


main()
