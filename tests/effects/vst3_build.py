"""VST3 plug-ins that tests build, with DPF (apt-get install dpf-source g++)."""

import platform
import shutil
import subprocess
from pathlib import Path

DPF = Path("/usr/share/dpf/distrho")
FAULTY = Path(__file__).parent / "vst3_faulty" / "faulty.cpp"


def binary(bundle: Path) -> Path:
    """Where the program of a bundle lies."""
    return bundle / "Contents" / f"{platform.machine()}-linux" / f"{bundle.stem}.so"


def build(folder: Path, name: str, source: Path, *options: str) -> str:
    """Name of the VST3 effect that is made of a file, in a few seconds."""
    bundle = folder / f"{name}.vst3"
    binary(bundle).parent.mkdir(parents=True)
    command = ["g++", "-std=c++17", "-shared", "-fPIC", "-DDISTRHO_PLUGIN_TARGET_VST3", *options]
    command += [f"-I{source.parent}", f"-I{DPF}", "-o", str(binary(bundle))]
    command += [str(source), str(DPF / "DistrhoPluginMain.cpp"), "-ldl"]
    subprocess.run(command, check=True)
    return f"vst3:{bundle}"


def rename(bundle: Path, folder: Path, name: str) -> str:
    """Name of the VST3 effect that is a copy of a bundle under another name."""
    copy = folder / f"{name}.vst3"
    shutil.copytree(bundle, copy)
    binary(copy).with_name(binary(bundle).name).rename(binary(copy))
    return f"vst3:{copy}"
