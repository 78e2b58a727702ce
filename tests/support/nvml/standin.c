/* A stand-in for libnvidia-ml.so.1, driven by the file that $HWLEDGER_NVML_SPEC names; read at the start and by
 * standin_reload(). One word and its arguments a line:
 *   driver 580.126.09 | cuda 13000 | init 9             the system; what nvmlInitWithFlags returns
 *   device NAME | uuid U | pci 0000:01:00.0             starts a device
 *   slice NAME | uuid U                                 starts a slice of the last device
 *   memory TOTAL RESERVED FREE USED                     bytes, as version 2 tells them
 *   set KEY NUMBER                                      any other value; without it: not supported
 *   process LIST PID BYTES NAME                         compute, graphics or mps; BYTES of - is not available
 *   fail CALL CODE [AFTER]                              CALL without nvml; * is every call; after so many calls
 *   hang CALL [AFTER] | slow CALL MICROSECONDS          of the device or slice, or of all before the first
 * -DOLD_DRIVER leaves out what drivers before 450 lack; -DPROCESS_ROWS_32 has the process list of 535.43 to 535.86. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MANY 16
#define RULES 64
#define NA64 0xFFFFFFFFFFFFFFFFull
enum { OK = 0, UNINITIALIZED = 1, INVALID = 2, UNSUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, VERSION = 25 };

typedef struct { char call[64]; int code, after, hang, slow, seen; } Rule;
typedef struct { char list[16]; unsigned pid; uint64_t bytes; char name[96]; } Process;
typedef struct Thing {
    char name[96], uuid[96], pci[32];
    uint64_t memory[4];
    int has_memory, values, rules, processes, slices;
    struct { char key[64]; uint64_t value; } value[64];
    Rule rule[RULES];
    Process process[128];
    struct Thing *slice[MANY];
} Thing;

static Thing everything, device[MANY], slice[MANY * 8];
static int devices, slices, starts, init_code, cuda = 13000;
static char driver[64] = "580.126.09";
static struct { char call[64]; long count; } called[128];
static int calls;

static void line(Thing **now, char *text) {
    char word[64] = "", a[128] = "", b[64] = "", c[64] = "", d[64] = "";
    int count = sscanf(text, "%63s %127s %63s %63s %63s", word, a, b, c, d);
    if (count < 1 || word[0] == '#') return;
    char *rest = strstr(text, a);
    rest[strcspn(rest, "\n")] = 0;
    if (!strcmp(word, "driver")) strcpy(driver, a);
    else if (!strcmp(word, "cuda")) cuda = atoi(a);
    else if (!strcmp(word, "init")) init_code = atoi(a);
    else if (!strcmp(word, "device")) { *now = &device[devices++]; strcpy((*now)->name, rest); }
    else if (!strcmp(word, "slice")) {
        Thing *whole = &device[devices - 1];
        *now = whole->slice[whole->slices++] = &slice[slices++];
        strcpy((*now)->name, rest);
    }
    else if (!strcmp(word, "uuid")) strcpy((*now)->uuid, a);
    else if (!strcmp(word, "pci")) strcpy((*now)->pci, a);
    else if (!strcmp(word, "memory")) {
        (*now)->has_memory = 1;
        char *part[4] = {a, b, c, d};
        for (int i = 0; i < 4; i++) (*now)->memory[i] = strtoull(part[i], NULL, 10);
    }
    else if (!strcmp(word, "set")) {
        strcpy((*now)->value[(*now)->values].key, a);
        (*now)->value[(*now)->values++].value = strtoull(b, NULL, 0);
    }
    else if (!strcmp(word, "process")) {
        Process *p = &(*now)->process[(*now)->processes++];
        strcpy(p->list, a);
        p->pid = strtoul(b, NULL, 10);
        p->bytes = c[0] == '-' ? NA64 : strtoull(c, NULL, 10);
        strcpy(p->name, d);
    }
    else if (!strcmp(word, "fail") || !strcmp(word, "hang") || !strcmp(word, "slow")) {
        Rule *rule = &(*now)->rule[(*now)->rules++];
        strcpy(rule->call, a);
        rule->hang = word[0] == 'h';
        if (word[0] == 'h') rule->after = atoi(b);
        if (word[0] == 'f') rule->code = atoi(b), rule->after = atoi(c);
        if (word[0] == 's') rule->slow = atoi(b);
    }
    else { fprintf(stderr, "stand-in: not understood: %s\n", text); abort(); }
}

void standin_reload(void) {
    const char *path = getenv("HWLEDGER_NVML_SPEC");
    FILE *file = path ? fopen(path, "r") : NULL;
    if (!file) { fprintf(stderr, "stand-in: no spec file\n"); abort(); }
    memset(&everything, 0, sizeof everything);
    memset(device, 0, sizeof device);
    memset(slice, 0, sizeof slice);
    devices = slices = init_code = 0;
    cuda = 13000;
    strcpy(driver, "580.126.09");
    Thing *now = &everything;
    char text[512];
    while (fgets(text, sizeof text, file)) line(&now, text);
    fclose(file);
}

/* As if the driver had been unloaded: all that was started is not. */
void standin_unload(void) { starts = 0; }

long standin_calls(const char *call) {
    long sum = 0;
    for (int i = 0; i < calls; i++)
        if (!strcmp(call, "*") || !strcmp(called[i].call, call)) sum += called[i].count;
    return sum;
}

void standin_forget_calls(void) { calls = 0; }

static void count(const char *call) {
    for (int i = 0; i < calls; i++)
        if (!strcmp(called[i].call, call)) { called[i].count++; return; }
    if (calls < 128) { strcpy(called[calls].call, call); called[calls++].count = 1; }
}

static int ruled(Thing *thing, const char *call) {
    for (int i = 0; i < thing->rules; i++) {
        Rule *rule = &thing->rule[i];
        if (strcmp(rule->call, "*") && strcmp(rule->call, call)) continue;
        if (rule->seen++ < rule->after) continue;
        while (rule->hang) pause();
        if (rule->slow) usleep(rule->slow);
        if (rule->code) return rule->code;
    }
    return OK;
}

static int enter(Thing *thing, const char *call) {
    count(call);
    if (!starts) return UNINITIALIZED;
    int code = ruled(&everything, call);
    return code || !thing ? code : ruled(thing, call);
}

static int get(Thing *thing, const char *key, uint64_t *out) {
    for (int i = 0; i < thing->values; i++)
        if (!strcmp(thing->value[i].key, key)) { *out = thing->value[i].value; return OK; }
    return UNSUPPORTED;
}

#define ENTER(thing, call) do { int code_ = enter(thing, call); if (code_) return code_; } while (0)
/* Functions of one number: nvmlNAME(handle, type *out) answers `set NAME`. */
#define NUMBER(name, type) \
    int nvml##name(Thing *thing, type *out) { \
        ENTER(thing, #name); uint64_t value; int code = get(thing, #name, &value); \
        if (!code) { *out = (type)value; } return code; }
/* Likewise with a number that says which: `set NAME.WHICH`. */
static int which(Thing *thing, const char *call, unsigned number, uint64_t *out) {
    char key[64];
    snprintf(key, sizeof key, "%s.%u", call, number);
    return get(thing, key, out);
}
#define WHICH(name) \
    int nvml##name(Thing *thing, unsigned number, unsigned *out) { \
        ENTER(thing, #name); uint64_t value; int code = which(thing, #name, number, &value); \
        if (!code) { *out = (unsigned)value; } return code; }

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    standin_reload();
    count("InitWithFlags");
    ruled(&everything, "InitWithFlags");
    if (!init_code) starts++;
    return init_code;
}
int nvmlShutdown(void) {
    count("Shutdown");
    if (!starts) return UNINITIALIZED;
    starts--;
    return OK;
}
const char *nvmlErrorString(int code) { (void)code; return "an error of the stand-in"; }

int nvmlDeviceGetCount_v2(unsigned *out) { ENTER(NULL, "DeviceGetCount"); *out = devices; return OK; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, Thing **out) {
    ENTER(index < (unsigned)devices ? &device[index] : NULL, "DeviceGetHandleByIndex");
    if (index >= (unsigned)devices) return INVALID;
    *out = &device[index];
    return OK;
}
static int text(const char *from, char *to, unsigned size) {
    if (!*from) return UNSUPPORTED;
    if (strlen(from) >= size) return TOO_SMALL;
    strcpy(to, from);
    return OK;
}
int nvmlDeviceGetName(Thing *thing, char *out, unsigned size) {
    ENTER(thing, "DeviceGetName"); return text(thing->name, out, size);
}
int nvmlDeviceGetUUID(Thing *thing, char *out, unsigned size) {
    ENTER(thing, "DeviceGetUUID"); return text(thing->uuid, out, size);
}
int nvmlSystemGetDriverVersion(char *out, unsigned size) {
    ENTER(NULL, "SystemGetDriverVersion"); return text(driver, out, size);
}
int nvmlSystemGetCudaDriverVersion(int *out) {
    ENTER(NULL, "SystemGetCudaDriverVersion"); *out = cuda; return OK;
}
int nvmlSystemGetProcessName(unsigned pid, char *out, unsigned size) {
    ENTER(NULL, "SystemGetProcessName");
    for (int i = 0; i < devices + slices; i++) {
        Thing *thing = i < devices ? &device[i] : &slice[i - devices];
        for (int j = 0; j < thing->processes; j++)
            if (thing->process[j].pid == pid && thing->process[j].name[0])
                return text(thing->process[j].name, out, size);
    }
    return NOT_FOUND;
}

typedef struct { unsigned version; uint64_t total, reserved, free, used; } Memory2;
typedef struct { uint64_t total, free, used; } Memory1;
int nvmlDeviceGetMemoryInfo(Thing *thing, Memory1 *out) {
    ENTER(thing, "DeviceGetMemoryInfo");
    if (!thing->has_memory) return UNSUPPORTED;
    *out = (Memory1){thing->memory[0], thing->memory[2], thing->memory[1] + thing->memory[3]};
    return OK;
}

typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char address[32]; } Pci3;
typedef struct { char address[16]; unsigned domain, bus, device, id, subsystem, reserved[4]; } Pci2;
int nvmlDeviceGetPciInfo_v2(Thing *thing, Pci2 *out) {
    ENTER(thing, "DeviceGetPciInfo");
    memset(out, 0, sizeof *out);
    return text(thing->pci + 4, out->address, sizeof out->address); /* four digits of domain in this version */
}

typedef struct { unsigned gpu, memory; } Busy;
int nvmlDeviceGetUtilizationRates(Thing *thing, Busy *out) {
    ENTER(thing, "DeviceGetUtilizationRates");
    uint64_t gpu, memory;
    if (get(thing, "Utilization.gpu", &gpu) || get(thing, "Utilization.memory", &memory)) return UNSUPPORTED;
    *out = (Busy){gpu, memory};
    return OK;
}
NUMBER(DeviceGetPowerUsage, unsigned)
NUMBER(DeviceGetEnforcedPowerLimit, unsigned)
NUMBER(DeviceGetTotalEnergyConsumption, uint64_t)
NUMBER(DeviceGetPerformanceState, unsigned)
NUMBER(DeviceGetFanSpeed, unsigned)
NUMBER(DeviceGetCurrPcieLinkGeneration, unsigned)
NUMBER(DeviceGetCurrPcieLinkWidth, unsigned)
NUMBER(DeviceGetMaxPcieLinkGeneration, unsigned)
NUMBER(DeviceGetMaxPcieLinkWidth, unsigned)
NUMBER(DeviceGetCurrentClocksThrottleReasons, uint64_t)
NUMBER(DeviceGetVirtualizationMode, unsigned)
WHICH(DeviceGetTemperature)
WHICH(DeviceGetClockInfo)
WHICH(DeviceGetMaxClockInfo)
int nvmlDeviceGetTotalEccErrors(Thing *thing, unsigned kind, unsigned since, uint64_t *out) {
    ENTER(thing, "DeviceGetTotalEccErrors");
    return kind == 1 && since == 0 ? get(thing, "DeviceGetTotalEccErrors", out) : INVALID;
}

typedef struct { unsigned field, scope; int64_t stamp, latency; unsigned type, code; uint64_t value; } Field;
int nvmlDeviceGetFieldValues(Thing *thing, int many, Field *field) {
    ENTER(thing, "DeviceGetFieldValues");
    for (int i = 0; i < many; i++) field[i].code = which(thing, "Field", field[i].field, &field[i].value);
    return OK;
}

#ifdef PROCESS_ROWS_32
typedef struct { unsigned pid; uint64_t bytes; unsigned gpu, compute; uint64_t guarded; } Row;
#else
typedef struct { unsigned pid; uint64_t bytes; unsigned gpu, compute; } Row;
#endif
typedef struct { unsigned pid; uint64_t bytes; } OldRow;
static int listed(Thing *thing, const char *call, const char *list, unsigned *many, void *rows, int old) {
    ENTER(thing, call);
    unsigned found = 0, room = *many;
    for (int i = 0; i < thing->processes; i++) found += !strcmp(thing->process[i].list, list);
    *many = found;
    if (found > room) return TOO_SMALL;
    for (int i = 0, at = 0; i < thing->processes; i++) {
        Process *p = &thing->process[i];
        if (strcmp(p->list, list)) continue;
        if (old) ((OldRow *)rows)[at++] = (OldRow){p->pid, p->bytes};
        else ((Row *)rows)[at++] = (Row){.pid = p->pid, .bytes = p->bytes, .gpu = ~0u, .compute = ~0u};
    }
    return OK;
}
#define LIST(name, list, old) \
    int nvmlDeviceGet##name(Thing *thing, unsigned *many, void *rows) { \
        return listed(thing, "DeviceGet" #name, list, many, rows, old); }
LIST(ComputeRunningProcesses, "compute", 1)
LIST(GraphicsRunningProcesses, "graphics", 1)

#ifndef OLD_DRIVER
LIST(ComputeRunningProcesses_v2, "compute", 0)
LIST(ComputeRunningProcesses_v3, "compute", 0)
LIST(GraphicsRunningProcesses_v2, "graphics", 0)
LIST(GraphicsRunningProcesses_v3, "graphics", 0)
LIST(MPSComputeRunningProcesses_v3, "mps", 0)
NUMBER(DeviceGetCurrentClocksEventReasons, uint64_t)
int nvmlDeviceGetMemoryInfo_v2(Thing *thing, Memory2 *out) {
    ENTER(thing, "DeviceGetMemoryInfo_v2");
    if (out->version != 0x02000028) return VERSION;
    if (!thing->has_memory) return UNSUPPORTED;
    memcpy(&out->total, thing->memory, sizeof thing->memory);
    return OK;
}
int nvmlDeviceGetPciInfo_v3(Thing *thing, Pci3 *out) {
    ENTER(thing, "DeviceGetPciInfo");
    memset(out, 0, sizeof *out);
    return text(thing->pci, out->address, sizeof out->address);
}
int nvmlSystemGetCudaDriverVersion_v2(int *out) { return nvmlSystemGetCudaDriverVersion(out); }
typedef struct { unsigned version, sensor; int degrees; } Heat;
int nvmlDeviceGetTemperatureV(Thing *thing, Heat *out) {
    ENTER(thing, "DeviceGetTemperatureV");
    uint64_t value;
    int code = which(thing, "DeviceGetTemperature", out->sensor, &value);
    if (!code) out->degrees = (int)value;
    return code;
}
int nvmlDeviceGetMigMode(Thing *thing, unsigned *now, unsigned *pending) {
    ENTER(thing, "DeviceGetMigMode");
    uint64_t mode;
    int code = get(thing, "DeviceGetMigMode", &mode);
    if (!code) *now = *pending = mode;
    return code;
}
int nvmlDeviceGetMaxMigDeviceCount(Thing *thing, unsigned *out) {
    ENTER(thing, "DeviceGetMaxMigDeviceCount"); *out = 7; return OK;
}
int nvmlDeviceGetMigDeviceHandleByIndex(Thing *thing, unsigned index, Thing **out) {
    ENTER(thing, "DeviceGetMigDeviceHandleByIndex");
    if (index >= (unsigned)thing->slices) return NOT_FOUND;
    *out = thing->slice[index];
    return OK;
}
#endif
