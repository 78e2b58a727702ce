"""The names that people write, read by a rule: each leads to its devices, or to the candidates."""

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwledger.device.catalogue import devices, find_candidates, find_device, parse_devices
from hwledger.device.table import entries
from hwledger.device.words import words_of
from hwledger.errors import AmbiguousError, HwledgerError, UnknownOptionError, UsageError
from hwledger.shipped import shipped_text

pytestmark = pytest.mark.requirement("FR-DEVICES-NAMES")

ONE = {
    "4090": "RTX 4090", "rtx4090": "RTX 4090", "RTX 3090 24GB": "RTX 3090", "3090ti": "RTX 3090 Ti",
    "4090 laptop": "RTX 4090 Laptop", "4090m": "RTX 4090 Laptop", "rtx 3070 ti mobile": "RTX 3070 Ti Laptop",
    "4080s": "RTX 4080 SUPER", "4070tis": "RTX 4070 Ti SUPER", "rtx 4070 ti super 16g": "RTX 4070 Ti SUPER",
    "1660s": "GTX 1660 SUPER", "gtx1080ti": "GTX 1080 Ti", "5090d": "RTX 5090 D", "rtx titan": "TITAN RTX",
    "4090 48gb": "RTX 4090 48GB", "2080 ti 22gb": "RTX 2080 Ti 22GB", "3060": "RTX 3060 12GB",
    "5060ti 16": "RTX 5060 Ti 16GB", "3060 ti gddr6x": "RTX 3060 Ti GDDR6X",
    "ASUS TUF Gaming GeForce RTX 4090 OC 24GB": "RTX 4090",
    "NVIDIA GeForce RTX 4090 Laptop GPU": "RTX 4090 Laptop",
    "RTX A6000": "RTX A6000", "a6000": "RTX A6000", "6000 ada": "RTX 6000 Ada",
    "quadro rtx 6000": "Quadro RTX 6000",
    "NVIDIA RTX 6000 Ada Generation": "RTX 6000 Ada", "rtx pro 6000": "RTX PRO 6000 Blackwell",
    "rtx pro 6000 server": "RTX PRO 6000 Blackwell Server",
    "RTX PRO 6000 max-q": "RTX PRO 6000 Blackwell Max-Q",
    "NVIDIA RTX PRO 6000 Blackwell Workstation Edition": "RTX PRO 6000 Blackwell",
    "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition": "RTX PRO 6000 Blackwell Max-Q",
    "a100 pcie 80g": "A100 PCIe 80GB", "NVIDIA A100-SXM4-80GB": "A100 SXM 80GB",
    "a100 40gb sxm": "A100 SXM 40GB",
    "H100 PCIe": "H100 PCIe 80GB", "h100_sxm": "H100 SXM 80GB", "NVIDIA H100 80GB HBM3": "H100 SXM 80GB",
    "h100 nvl": "H100 NVL 94GB", "h100 sxm5 94gb": "H100 SXM 94GB", "h200": "H200 SXM",
    "NVIDIA H200-SXM-141GB": "H200 SXM", "h200 nvl": "H200 NVL", "b200": "B200",
    "NVIDIA B200-SXM-180GB": "B200",
    "b200 192gb": "B200", "NVIDIA B300 SXM6 AC": "B300", "gb200": "GB200", "NVIDIA GH200 480GB": "GH200 96GB",
    "l40s": "L40S", "l40": "L40", "l4": "L4", "t4": "T4", "p40": "P40", "Tesla P40 24GB": "P40", "a10": "A10",
    "a10g": "A10G", "A30 PCIe": "A30", "tesla v100 sxm2 32gb": "V100 SXM2 32GB", "v100s": "V100S PCIe 32GB",
    "m40": "M40 24GB", "h20 141gb": "H20 141GB", "h800": "H800 SXM 80GB",
    "gb10": "DGX Spark", "dgx spark": "DGX Spark", "DGX Spark (GB10)": "DGX Spark",
    "orin 64gb": "Jetson AGX Orin 64GB",
    "jetson orin nano super": "Jetson Orin Nano Super", "thor": "Jetson AGX Thor",
    "orin nx 16": "Jetson Orin NX 16GB",
    "mi300x": "MI300X", "AMD Instinct MI325X 256GB HBM3e": "MI325X", "mi355x": "MI355X",
    "mi50 32gb": "MI50 32GB",
    "mi210": "MI210", "MI355": "MI355X", "7900xtx": "RX 7900 XTX", "Radeon RX 7900 XTX 24GB": "RX 7900 XTX",
    "7900 gre": "RX 7900 GRE", "rx6800xt": "RX 6800 XT", "9070": "RX 9070", "9070xt": "RX 9070 XT",
    "9060xt 16gb": "RX 9060 XT 16GB", "radeonvii": "Radeon VII", "vega 64": "RX Vega 64",
    "w7900": "Radeon PRO W7900",
    "r9700": "Radeon AI PRO R9700", "Radeon Pro W7800 48GB": "Radeon PRO W7800 48GB", "rx 580": "RX 580",
    "strix halo": "Ryzen AI Max+ 395 128GB", "ryzen ai max 395 128gb": "Ryzen AI Max+ 395 128GB",
    "strix halo 64gb": "Ryzen AI Max+ 395 64GB", "Framework Desktop 128GB": "Ryzen AI Max+ 395 128GB",
    "M3 Ultra 256GB": "M3 Ultra 256GB", "m2 pro 16": "M2 Pro 16GB", "M3Max 64g": "M3 Max 64GB",
    "MacBook Pro M3 Max 128GB": "M3 Max 128GB", "Mac Studio M2 Ultra 192GB": "M2 Ultra 192GB",
    "Apple M1 Max 32-core GPU 64 GB": "M1 Max 32-core 64GB", "M2 Ultra 24-core CPU 76-core GPU 192GB":
    "M2 Ultra 76-core 192GB", "M4 Max 40-core 128GB": "M4 Max 128GB", "mac mini m4 pro 24 gb": "M4 Pro 24GB",
    "arc b580": "Arc B580", "b580": "Arc B580", "a770": "Arc A770", "a770 8gb": "Arc A770 8GB",
    "b60": "Arc Pro B60",
    "Data Center GPU Max 1550": "Max 1550", "gaudi3": "Gaudi 3", "Gaudi 3 (OAM)": "Gaudi 3",
    "tpu v5e": "TPU v5e", "v5e": "TPU v5e", "trillium": "TPU v6e", "AWS Inferentia2": "Inferentia2",
    "trn2": "Trainium2",
}  # fmt: skip

SEVERAL = {
    "a100 80g": {"A100 PCIe 80GB", "A100 SXM 80GB"},
    "v100 32gb": {"V100 PCIe 32GB", "V100 SXM2 32GB"},
    "RTX 6000": {"Quadro RTX 6000", "RTX 6000 Ada", "RTX PRO 6000 Blackwell"},
    "3080": {"RTX 3080 10GB", "RTX 3080 12GB"},
    "4060 ti": {"RTX 4060 Ti 8GB", "RTX 4060 Ti 16GB"},
    "3080 mobile": {"RTX 3080 Laptop 8GB", "RTX 3080 Laptop 16GB"},
    "MI300": {"MI300X", "MI300A"},
    "mi50": {"MI50 16GB", "MI50 32GB"},
    "w7800": {"Radeon PRO W7800 32GB", "Radeon PRO W7800 48GB"},
    "M4 Max": {"M4 Max 36GB", "M4 Max 48GB", "M4 Max 64GB", "M4 Max 128GB"},
    "Apple M2 Ultra 76-core GPU": {"M2 Ultra 76-core 64GB", "M2 Ultra 76-core 192GB"},
    "orin nano": {"Jetson Orin Nano 8GB", "Jetson Orin Nano 4GB"},
    "titan": {"TITAN RTX", "TITAN V", "TITAN Xp", "TITAN X Pascal"},
    "h20": {"H20 96GB", "H20 141GB"},
    "p100": {"P100 PCIe 12GB", "P100 PCIe 16GB", "P100 SXM2"},
    "ryzen ai max+ 395": {"Ryzen AI Max+ 395 128GB", "Ryzen AI Max+ 395 64GB"},
}

COUNTED = {
    "2x3060": ("RTX 3060 12GB", 2), "2 * 4090": ("RTX 4090", 2), "4090x4": ("RTX 4090", 4),
    "4090 x 4": ("RTX 4090", 4),
    "x2 4090": ("RTX 4090", 2), "dual 3090": ("RTX 3090", 2), "two 4090s": ("RTX 4090", 2),
    "4 3090": ("RTX 3090", 4),
    "quad P40": ("P40", 4), "2\u00d7 RTX 5090": ("RTX 5090", 2), "8 x MI300X": ("MI300X", 8),
    "3x 7900xtx": ("RX 7900 XTX", 3),
    "2x RTX 4070 Ti SUPER": ("RTX 4070 Ti SUPER", 2), "8xH100": ("H100 SXM 80GB", 8),
    "8x h200": ("H200 SXM", 8),
    "mi250x": ("MI250X", 2), "4x MI250": ("MI250", 8), "mi250x gcd": ("MI250X", 1), "K80": ("K80", 2),
    "A16": ("A16", 4),
    "MI250X 128GB": ("MI250X", 2), "b60 dual": ("Arc Pro B60 Dual 48GB", 2), "DGX H100": ("H100 SXM 80GB", 8),
    "2x DGX H100": ("H100 SXM 80GB", 16), "HGX B200": ("B200", 8), "p5.48xlarge": ("H100 SXM 80GB", 8),
    "ND96isr_H100_v5": ("H100 SXM 80GB", 8), "GB200 NVL72": ("GB200", 72),
}  # fmt: skip


@pytest.mark.parametrize(("typed", "name"), ONE.items())
def test_a_name_that_is_clear_leads_to_its_device(typed: str, name: str) -> None:
    """Short forms, drivers' names, makers of boards, slots and memory sizes all mean one device."""
    assert find_device(typed).name == name


@pytest.mark.parametrize(("typed", "some"), SEVERAL.items())
def test_a_name_that_fits_several_lists_them(typed: str, some: set[str]) -> None:
    """What was not said is never chosen."""
    with pytest.raises(AmbiguousError) as caught:
        find_device(typed)
    assert some <= set(caught.value.candidates)
    assert {device.name for device in find_candidates(typed)} >= some


@pytest.mark.parametrize(("typed", "expected"), COUNTED.items())
def test_counts_boards_and_nodes_are_their_devices(typed: str, expected: tuple[str, int]) -> None:
    """Counts stand before or behind; a card with several dies and a node are as many devices."""
    name, count = expected
    assert [device.name for device in parse_devices(typed)] == [name] * count


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("RTX 4090 + RTX 3060 12GB", ["RTX 4090", "RTX 3060 12GB"]),
        ("4090 & 3090", ["RTX 4090", "RTX 3090"]),
        ("3090 and 2x P40", ["RTX 3090", "P40", "P40"]),
        ("4090;3090,t4", ["RTX 4090", "RTX 3090", "T4"]),
        ("Ryzen AI Max+ 395 128GB", ["Ryzen AI Max+ 395 128GB"]),
        ("Ryzen AI Max+ 395 128GB + 4090", ["Ryzen AI Max+ 395 128GB", "RTX 4090"]),
    ],
)
def test_lists_are_divided_as_people_divide_them(typed: str, names: list[str]) -> None:
    """A comma, ``+``, ``&`` and ``and`` divide, but the plus of ``Max+`` does not."""
    assert [device.name for device in parse_devices(typed)] == names


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("RTX 4090 16GB", ["24GB", "48GB", "RTX 4090 Laptop"]),
        ("M4 Max 96GB", ["36GB", "48GB", "64GB", "128GB"]),
        ("MI325X 288GB", ["256GB"]),
        ("4090 12", ["24GB"]),
        ("2x RTX 3090 48GB", ["24GB"]),
    ],
)
def test_a_memory_size_that_does_not_exist_says_which_do(typed: str, said: list[str]) -> None:
    """The sentence lists the sizes of that device, and what else has the size."""
    with pytest.raises(UsageError, match="there is no") as caught:
        parse_devices(typed)
    assert all(word in str(caught.value) for word in said)


@pytest.mark.parametrize("typed", ["780M", "Radeon 890M 32GB", "Intel Iris Xe"])
def test_graphics_without_memory_of_their_own_say_so(typed: str) -> None:
    """What shares the system's memory is not guessed: the user says how much it may use."""
    with pytest.raises(UsageError, match="uses the system's memory"):
        parse_devices(typed)


@pytest.mark.parametrize("typed", ["RTX 4095", "Quadro 4090", "MI999", "frobnicator 3000", "4090 5090 3090"])
def test_what_does_not_exist_is_unknown(typed: str) -> None:
    """No part of a wrong name is taken for the whole."""
    with pytest.raises(UnknownOptionError):
        find_device(typed)


def test_each_spelling_of_the_table_is_as_the_rule_makes_it_and_finds_its_device() -> None:
    """The words in the table are those of the name, and every other name leads to the same device."""
    for entry in entries():
        assert entry.spellings[0] == words_of(entry.device.name), entry.device.name
        for words in entry.spellings:
            assert entry.device in find_candidates(" ".join(words)), words


def test_a_rare_version_is_meant_only_by_its_size() -> None:
    """Rebuilt boards and small series do not make a common name ambiguous."""
    rare = [entry.device for entry in entries() if entry.rare]
    assert rare
    for device in rare:
        assert find_device(device.name) is device
        assert device not in find_candidates(device.name.rsplit(" ", 1)[0])


@pytest.mark.shared_data
def test_every_device_of_the_reference_sheet_is_found_by_the_sheets_own_name(shared_data: Path) -> None:
    """All but graphics without memory of their own are found, under names that this table does not use."""
    rows = list(csv.DictReader((shared_data / "accelerators.csv").read_text("utf-8").splitlines()))
    missing = [row["name"] for row in rows if row["memory_GiB"] and not find_candidates(row["name"])]
    assert not missing
    assert len(rows) > len(devices()) / 2


@pytest.mark.requirement("NFR-BAD-INPUT")
@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=60)
    | st.from_regex(r"[0-9x]{0,4} ?(rtx|h|mi|m)? ?[0-9]{1,4}[a-z ]{0,6}(gb)?", fullmatch=True)
)
def test_any_text_is_devices_or_one_sentence(text: str) -> None:
    """Nothing that can be typed ends in anything but devices or an error of this package."""
    try:
        told = [device.name for device in parse_devices(text)]
    except HwledgerError as error:
        told = [str(error)]
    assert 1 <= len(told) <= 1024
    assert all(0 < len(said) < 1000 for said in told)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(devices()), st.data())
def test_case_spaces_dashes_and_vendors_do_not_matter(device: object, data: st.DataObject) -> None:
    """Every device is found by its name however it is set, with its vendor or without."""
    name = device.name  # type: ignore[attr-defined]
    words = name.split()
    glue = [data.draw(st.sampled_from([" ", "  ", "-", "_"])) for _ in words]
    text = "".join(word + sep for word, sep in zip(words, glue, strict=True)).strip(" -_")
    text = data.draw(st.sampled_from([text, text.upper(), text.lower()]))
    vendor = device.vendor if data.draw(st.booleans()) else ""  # type: ignore[attr-defined]
    assert find_device(f"{vendor} {text}").name == name


PRINTED = {
    "GPU 0: NVIDIA GeForce RTX 4090 (UUID: GPU-1234)": "RTX 4090",
    "CUDA0: NVIDIA GeForce RTX 3090 (24135 MiB, 23800 MiB free)": "RTX 3090",
    "  Device 0: NVIDIA GeForce RTX 3090, compute capability 8.6, VMM: yes": "RTX 3090",
    "01:00.0 VGA compatible controller: NVIDIA Corporation GA102 [GeForce RTX 3090] (rev a1)": "RTX 3090",
    "0000:65:00.0 3D controller [0302]: NVIDIA Corporation GA100 [A100 SXM4 80GB] [10de:20b2] (rev a1)":
        "A100 SXM 80GB",
    "Vulkan0: AMD Radeon RX 7900 XTX (RADV NAVI31) (24560 MiB, 24000 MiB free)": "RX 7900 XTX",
    "ggml_vulkan: 0 = AMD Radeon RX 6800 XT (RADV NAVI21) (radv) | uma: 0 | fp16: 1": "RX 6800 XT",
    "AMD Radeon RX 9070 XT (gfx1201)": "RX 9070 XT",
    "Intel(R) Arc(TM) B580 Graphics": "Arc B580", "Intel(R) Data Center GPU Max 1550": "Max 1550",
    "NVIDIA A40-48Q": "A40", "GRID T4-16Q": "T4", "H20-3e": "H20 141GB", "HL-225": "Gaudi 2",
    "0xe20b": "Arc B580",
}  # fmt: skip
SEVERAL = {
    "gfx1100": ["RX 7900 XTX", "RX 7900 XT", "RX 7900 GRE", "Radeon PRO W7900", "Radeon PRO W7800 48GB",
                "Radeon PRO W7800 32GB"],
    "AMD Instinct MI250X / MI250": ["MI250X", "MI250"],
    "03:00.0 VGA compatible controller: Advanced Micro Devices, Inc. [AMD/ATI] Navi 31 [Radeon RX"
    " 7900 XT/7900 XTX/7900 GRE/7900M] (rev c8)": ["RX 7900 XT", "RX 7900 XTX", "RX 7900 GRE"],
}  # fmt: skip


@pytest.mark.parametrize(("line", "name"), PRINTED.items())
def test_a_line_of_a_tool_is_read_as_the_product_in_it(line: str, name: str) -> None:
    """What nvidia-smi, lspci, llama.cpp and drivers print around a name is left out."""
    assert [device.name for device in parse_devices(line)] == [name]


@pytest.mark.parametrize(("line", "names"), SEVERAL.items())
def test_a_chip_of_several_products_lists_them(line: str, names: list[str]) -> None:
    """A chip's name, or several names in one, lead to every product that is meant and to no choice."""
    with pytest.raises(AmbiguousError, match=f"could be any of: {', '.join(names)};"):
        parse_devices(line)


def test_lines_of_several_devices() -> None:
    """Each line that ``nvidia-smi -L`` prints is one device."""
    lines = "GPU 0: NVIDIA H100 PCIe (UUID: GPU-1)\nGPU 1: NVIDIA L40S (UUID: GPU-2)"
    assert [device.name for device in parse_devices(lines)] == ["H100 PCIe 80GB", "L40S"]


def test_every_chip_names_devices_of_the_table() -> None:
    """Each product of a chip is in the table, under exactly this name, and each row has its source."""
    text = shipped_text("hwledger.device", "data/chips.csv")
    rows = list(csv.DictReader(text.splitlines()))
    names = {device.name for device in devices()}
    assert len(rows) > 20
    assert all(set(row["devices"].split(";")) <= names and row["source"] and None not in row for row in rows)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("NVIDIA H100 80GB HBM3 MIG 3g.40gb", "a slice of a card; give the memory that it has, like 40GB"),
        ("AMD EPYC 9654", "uses the system's memory"), ("Ryzen 9 7950X", "uses the system's memory"),
        ("Core Ultra 7 258V", "uses the system's memory"), ("NVIDIA A40-12Q", "it has 48GB"),
    ],
)  # fmt: skip
def test_what_is_no_whole_card_is_said(name: str, said: str) -> None:
    """A slice, a share of a card and a processor are refused with what to give in their place."""
    with pytest.raises(UsageError, match=said):
        parse_devices(name)
