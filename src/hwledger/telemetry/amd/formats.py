"""Every recorded output of AMD's that can be read."""

from typing import Final

from hwledger.telemetry.amd import rocm_lists, rocm_text, smi_columns, smi_table, smi_text, sysfs_text, top
from hwledger.telemetry.recorded import Format

FORMATS: Final = (
    Format("amdgpu_top --json", top.recognises, top.read),
    Format("amd-smi --json", smi_text.is_json, smi_text.read_json),
    Format("amd-smi", smi_table.is_table, smi_table.read_table),
    Format("amd-smi monitor, --csv", smi_columns.is_columns, smi_columns.read_columns),
    Format("amd-smi static, metric, process", smi_text.is_human, smi_text.read_human),
    Format("rocm-smi --json", rocm_text.is_json, rocm_text.read_json),
    Format("rocm-smi --csv", rocm_text.is_csv, rocm_text.read_csv),
    Format("rocm-smi -a", rocm_text.is_lines, rocm_text.read_lines),
    Format("rocm-smi", rocm_text.is_table, rocm_text.read_table),
    Format("rocm-smi --showpids", rocm_text.is_list_of_processes, rocm_lists.read_pids),
    Format("rocm-smi --showhw", rocm_lists.is_hardware, rocm_lists.read_hardware),
    Format("complaints of amd-smi and rocm-smi", rocm_text.is_complaint, rocm_text.read_complaint),
    Format("sysfs of amdgpu", sysfs_text.recognises, sysfs_text.read),
)
