/* A stand-in for NVIDIA's libnvidia-ml.so.1: the functions that xibench asks, through nvidia-ml-py.
 *
 * Cards are described in the file that XIBENCH_NVML_STATE names, read anew at each call: a line `cards N`, then lines
 * `INDEX.FIELD VALUE` (counts in NVML's own units). A field that is not there is "not supported", and a card with
 * `lost` has fallen off the bus. Without the file there is no driver.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9, LOST = 15 };
enum { CLOCK_SM = 1, CLOCK_MEMORY = 2, POWER_INSTANT = 186 };

typedef struct { int index; } Card;
typedef struct { unsigned pid; unsigned long long bytes; unsigned gpu_instance, compute_instance; } Process;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned gpu, memory; } Utilisation;
typedef struct {
    unsigned field, scope;
    long long timestamp, latency;
    unsigned type, result;
    union { double d; unsigned u; unsigned long long ull; } value;
} Field;

static Card handles[8] = {{0}, {1}, {2}, {3}, {4}, {5}, {6}, {7}};

static int look(const char *key, unsigned long long *value) {
    const char *path = getenv("XIBENCH_NVML_STATE");
    FILE *file = path ? fopen(path, "r") : NULL;
    char name[64];
    unsigned long long found;
    int there = 0;
    while (file && fscanf(file, "%63s %llu", name, &found) == 2)
        if (!strcmp(name, key)) { *value = found; there = 1; }
    if (file) fclose(file);
    return there;
}

static int ask(const Card *card, const char *field, unsigned long long *value) {
    char key[64];
    snprintf(key, sizeof key, "%d.lost", card->index);
    if (look(key, value)) return LOST;
    snprintf(key, sizeof key, "%d.%s", card->index, field);
    return look(key, value) ? SUCCESS : NOT_SUPPORTED;
}

static int ask_unsigned(const Card *card, const char *field, unsigned *value) {
    unsigned long long wide = 0;
    int result = ask(card, field, &wide);
    *value = (unsigned)wide;
    return result;
}

int nvmlInitWithFlags(unsigned flags) {
    unsigned long long n;
    (void)flags;
    return look("cards", &n) ? SUCCESS : DRIVER_NOT_LOADED;
}

int nvmlShutdown(void) { return SUCCESS; }

const char *nvmlErrorString(int result) { (void)result; return "an error of the stand-in"; }

int nvmlSystemGetDriverVersion(char *text, unsigned size) {
    snprintf(text, size, "555.42");
    return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    unsigned long long n = 0;
    look("cards", &n);
    *count = (unsigned)n;
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Card **card) {
    char key[64];
    unsigned long long value;
    if (index >= 8) return INVALID_ARGUMENT;
    snprintf(key, sizeof key, "%u.lost", index);
    if (look(key, &value)) return LOST;
    *card = &handles[index];
    return SUCCESS;
}

int nvmlDeviceGetName(Card *card, char *text, unsigned size) {
    snprintf(text, size, "Stand-in %d", card->index);
    return SUCCESS;
}

int nvmlDeviceGetUUID(Card *card, char *text, unsigned size) {
    snprintf(text, size, "GPU-%d0000000-stand-in", card->index);
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(Card *card, Memory *memory) {
    memset(memory, 0, sizeof *memory);
    return ask(card, "memory_bytes", &memory->total);
}

int nvmlDeviceGetClockInfo(Card *card, int kind, unsigned *mhz) {
    return ask_unsigned(card, kind == CLOCK_SM ? "sm_mhz" : kind == CLOCK_MEMORY ? "memory_mhz" : "none", mhz);
}

int nvmlDeviceGetCurrentClocksEventReasons(Card *card, unsigned long long *bits) { return ask(card, "reasons", bits); }
int nvmlDeviceGetTemperature(Card *card, int sensor, unsigned *celsius) {
    (void)sensor;
    return ask_unsigned(card, "celsius", celsius);
}
int nvmlDeviceGetPowerUsage(Card *card, unsigned *mw) { return ask_unsigned(card, "average_mw", mw); }
int nvmlDeviceGetEnforcedPowerLimit(Card *card, unsigned *mw) { return ask_unsigned(card, "limit_mw", mw); }
int nvmlDeviceGetTotalEnergyConsumption(Card *card, unsigned long long *mj) { return ask(card, "energy_mj", mj); }

int nvmlDeviceGetFieldValues(Card *card, int count, Field *values) {
    for (int n = 0; n < count; n++)
        values[n].result = ask_unsigned(card, values[n].field == POWER_INSTANT ? "instant_mw" : "none", &values[n].value.u);
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(Card *card, Utilisation *rates) {
    rates->memory = 0;
    return ask_unsigned(card, "busy_percent", &rates->gpu);
}

int nvmlDeviceGetComputeRunningProcesses_v3(Card *card, unsigned *count, Process *processes) {
    unsigned long long n = 0;
    char field[32];
    int result = ask(card, "processes", &n);
    if (result != SUCCESS) return result;
    if (n && *count < n) { *count = (unsigned)n; return INSUFFICIENT_SIZE; }
    for (unsigned long long k = 0; k < n; k++) {
        unsigned long long pid = 0;
        snprintf(field, sizeof field, "pid%llu", k);
        ask(card, field, &pid);
        processes[k] = (Process){.pid = (unsigned)pid, .bytes = 1ull << 30};
    }
    *count = (unsigned)n;
    return SUCCESS;
}
