"""The device catalogue and reading device lists."""

import pytest

from hwledger.device.catalogue import devices, find_device, parse_devices
from hwledger.errors import AmbiguousError, UnknownOptionError, UsageError
from hwledger.units import GIB, MIB


@pytest.mark.requirement("FR-PLAN-DEVICES")
@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("RTX 4090", ["RTX 4090"]),
        ("4090", ["RTX 4090"]),
        ("rtx4090", ["RTX 4090"]),
        ("NVIDIA GeForce RTX-4090", ["RTX 4090"]),
        ("4090 laptop", ["RTX 4090 Laptop"]),
        ("RTX 4090 Mobile", ["RTX 4090 Laptop"]),
        ("4060ti 16gb", ["RTX 4060 Ti 16GB"]),
        ("RTX 3090 24GB", ["RTX 3090"]),
        ("2x H100 SXM", ["H100 SXM 80GB"] * 2),
        ("2xH100 SXM5", ["H100 SXM 80GB"] * 2),
        ("RTX 3090, RTX 3080 20GB", ["RTX 3090", "RTX 3080 20GB"]),
        ("RTX 3090, rtx 3090", ["RTX 3090", "RTX 3090"]),
        ("M3 Ultra 256GB", ["M3 Ultra 256GB"]),
        ("Apple M3Ultra 256 GB", ["M3 Ultra 256GB"]),
        ("8 x MI300X", ["MI300X"] * 8),
        ("MI300X x2", ["MI300X"] * 2),
        ("NVIDIA H100 80GB HBM3", ["H100 SXM 80GB"]),
        ("A100 80GB SXM", ["A100 SXM 80GB"]),
        ("RTX PRO 6000", ["RTX PRO 6000 Blackwell"]),
        ("7900 XTX", ["RX 7900 XTX"]),
        ("a770", ["Arc A770"]),
        ("Strix Halo", ["Ryzen AI Max+ 395 128GB"]),
        ("GB10", ["DGX Spark"]),
        ("T4", ["T4"]),
        ("H200", ["H200 SXM"]),
    ],
)
def test_what_people_type(typed: str, names: list[str]) -> None:
    """Case, spaces, dashes, vendor words, counts and lists all lead to the right accelerators."""
    assert [device.name for device in parse_devices(typed)] == names


@pytest.mark.requirement("FR-PLAN-DEVICES")
@pytest.mark.parametrize(
    ("typed", "some"),
    [
        ("H100", {"H100 SXM 80GB", "H100 PCIe 80GB", "H100 NVL 94GB"}),
        ("2xH100", {"H100 SXM 80GB", "H100 PCIe 80GB", "H100 NVL 94GB"}),
        ("3080", {"RTX 3080 10GB", "RTX 3080 12GB"}),
        ("M4 Max", {"M4 Max 36GB", "M4 Max 128GB"}),
        ("A100", {"A100 SXM 80GB", "A100 PCIe 40GB"}),
    ],
)
def test_several_are_listed_and_none_is_chosen(typed: str, some: set[str]) -> None:
    """A name that fits several is refused with the candidates."""
    with pytest.raises(AmbiguousError) as caught:
        parse_devices(typed)
    assert some <= set(caught.value.candidates)


@pytest.mark.requirement("FR-PLAN-DEVICES")
def test_long_lists_of_candidates_stay_readable() -> None:
    """At most twelve candidates are listed; the rest is counted."""
    with pytest.raises(AmbiguousError, match=r"\d+ more"):
        find_device("laptop")


@pytest.mark.requirement("FR-PLAN-DEVICES")
def test_unknown_names_get_the_nearest() -> None:
    """The sentence has the nearest names and not the whole table."""
    with pytest.raises(UnknownOptionError, match=r"RTX 4090") as caught:
        find_device("RTX 4095")
    assert len(str(caught.value)) < 200


@pytest.mark.requirement("FR-PLAN-DEVICES")
@pytest.mark.parametrize(
    ("typed", "size"), [("24GiB", 24 * GIB), ("80GB", 80 * 10**9), ("1536 MiB", 1536 * MIB)]
)
def test_a_memory_size_is_an_anonymous_device(typed: str, size: int) -> None:
    """A plain size plans for a device with that much memory, all of it usable."""
    device = find_device(typed)
    assert device.memory_bytes == device.usable_bytes == size


@pytest.mark.requirement("FR-PLAN-DEVICES", "NFR-BAD-INPUT")
@pytest.mark.parametrize(
    "typed",
    ["", "  ", ",", "RTX 4090,", "0x RTX 4090", "1025x RTX 4090", "999999x T4", "1000x T4, 1000x T4", "x",
     "2x", "0GiB", "9999TiB", "-1GiB", "\x00", "4090" * 1000],
)  # fmt: skip
def test_bad_lists_are_refused(typed: str) -> None:
    """Empty parts, absurd counts and sizes, and nonsense end in a usage error."""
    with pytest.raises(UsageError):
        parse_devices(typed)


@pytest.mark.requirement("FR-PLAN-DEVICES")
def test_every_row_is_plausible_and_found_by_its_own_name() -> None:
    """Each accelerator has memory, a source and a basis, and its full name finds it."""
    assert len(devices()) >= 60
    for device in devices():
        assert find_device(device.name) is device
        assert 0.6 * device.memory_bytes <= device.usable_bytes <= 1.03 * device.memory_bytes, device.name
        assert 0 <= device.context_bytes < GIB
        assert device.usable_basis in {"measured", "assumed"}
        assert device.source
        assert device.memory_bytes >= GIB


@pytest.mark.requirement("FR-PLAN-DEVICES")
def test_every_alias_leads_to_one_device() -> None:
    """The two RTX 3080 sizes differ, and a unified device says that it is one."""
    assert find_device("3080 12gb").memory_bytes == 12 * GIB
    assert find_device("M2 Ultra 192GB").unified
    assert find_device("M2 Ultra 192GB").usable_bytes == 144 * GIB
    assert not find_device("RTX 5090").unified


@pytest.mark.requirement("FR-DEVICES-NAMES", "NFR-BAD-INPUT")
@pytest.mark.parametrize(
    ("typed", "said"), [("1000000x 4090", "asks for 1000000 devices"), ("GTX 970", "unknown device")]
)
def test_what_is_asked_for_is_repeated_as_it_was_meant(typed: str, said: str) -> None:
    """A long count is a count, and a model number that is not known is no memory size."""
    with pytest.raises(UsageError, match=said):
        parse_devices(typed)


@pytest.mark.requirement("FR-DEVICES-NAMES")
def test_boards_of_makers_are_their_chips() -> None:
    """EVGA's FTW3 Ultra is an RTX 3090."""
    assert [device.name for device in parse_devices("EVGA 3090 FTW3 Ultra")] == ["RTX 3090"]
