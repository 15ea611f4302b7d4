/* Stands in for the NVIDIA driver's library libnvidia-ml.so.1, so that pynvml and all above it run unchanged without a GPU.
 *
 *   cc -shared -fPIC -O1 -Wall -Wextra -o FOLDER/libnvidia-ml.so.1 fake_nvml.c
 *   LD_LIBRARY_PATH=FOLDER FAKE_NVML=STATE python ...
 *
 * STATE is read at every call, so a test changes what the hardware says while a program runs; replace it by rename. A line
 * a GPU, then words of its own:
 *
 *   gpu uuid=GPU-0a name=Tesla_V100 compute=4711,4712 graphics=99 mps=5 mig=1
 *   init=9        nvmlInit fails with this code (9: driver not loaded)
 *   delay_ms=500  every call takes that long
 *
 * More words for a GPU: lost=1, every question about it fails with "GPU is lost", its id too; error=999, only the questions
 * for its processes fail, with this code. old=1 anywhere: a driver before 510, which lacks the third form of these calls.
 * It tests our code, not NVIDIA's: what a real GPU answers is for the tests marked `gpu`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define API __attribute__((visibility("default")))
enum { OK = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7, FUNCTION_NOT_FOUND = 13, LOST = 15 };
enum { GPUS = 16, PIDS = 64 };
enum list { COMPUTE, GRAPHICS, MPS, LISTS };

struct gpu { char uuid[96], name[96]; int lost, error, mig; unsigned pids[LISTS][PIDS], count[LISTS]; };
struct process { unsigned pid; unsigned long long bytes; unsigned gpu_instance, compute_instance; };

static struct gpu gpus[GPUS];
static unsigned count, users;
static int init_error, old;

static void read_pids(struct gpu *gpu, enum list list, char *text) {
    char *save, *one = strtok_r(text, ",", &save);
    for (; one && gpu->count[list] < PIDS; one = strtok_r(NULL, ",", &save))
        gpu->pids[list][gpu->count[list]++] = (unsigned)atoi(one);
}

static void read_word(struct gpu *gpu, const char *word, char *value) {
    if (!strcmp(word, "init")) init_error = atoi(value);
    else if (!strcmp(word, "old")) old = atoi(value);
    else if (!strcmp(word, "delay_ms")) usleep(1000 * (useconds_t)atoi(value));
    else if (!gpu) return;
    else if (!strcmp(word, "uuid")) snprintf(gpu->uuid, sizeof gpu->uuid, "%s", value);
    else if (!strcmp(word, "name")) snprintf(gpu->name, sizeof gpu->name, "%s", value);
    else if (!strcmp(word, "lost")) gpu->lost = atoi(value);
    else if (!strcmp(word, "error")) gpu->error = atoi(value);
    else if (!strcmp(word, "mig")) gpu->mig = atoi(value);
    else if (!strcmp(word, "compute")) read_pids(gpu, COMPUTE, value);
    else if (!strcmp(word, "graphics")) read_pids(gpu, GRAPHICS, value);
    else if (!strcmp(word, "mps")) read_pids(gpu, MPS, value);
}

static void refresh(void) {
    char line[4096];
    const char *path = getenv("FAKE_NVML");
    FILE *file = path ? fopen(path, "r") : NULL;
    memset(gpus, 0, sizeof gpus);
    count = 0, init_error = 0, old = 0;
    while (file && fgets(line, sizeof line, file)) {
        struct gpu *gpu = NULL;
        char *save, *value;
        for (char *word = strtok_r(line, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
            if (!strcmp(word, "gpu") && count < GPUS) gpu = &gpus[count++];
            else if ((value = strchr(word, '='))) { *value++ = 0; read_word(gpu, word, value); }
        }
    }
    if (file) fclose(file);
}

static int ask(const struct gpu *gpu) {
    if (!users) return UNINITIALIZED;
    refresh();
    if (init_error) return UNINITIALIZED;
    if (gpu && (gpu < gpus || gpu >= gpus + count)) return INVALID_ARGUMENT;
    return gpu && gpu->lost ? LOST : OK;
}

static int put(char *to, unsigned size, const char *from) {
    return (unsigned)snprintf(to, size, "%s", from) < size ? OK : INSUFFICIENT_SIZE;
}

API int nvmlInit_v2(void) { refresh(); users += !init_error; return init_error; }
API int nvmlInitWithFlags(unsigned flags) { (void)flags; return nvmlInit_v2(); }
API int nvmlShutdown(void) { if (!users) return UNINITIALIZED; users--; return OK; }
API const char *nvmlErrorString(int code) { (void)code; return "an error"; }
API int nvmlDeviceGetCount_v2(unsigned *n) { int error = ask(NULL); *n = count; return error; }

API int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct gpu **gpu) {
    int error = ask(NULL);
    if (error) return error;
    if (index >= count) return INVALID_ARGUMENT;
    *gpu = &gpus[index];
    return ask(*gpu);
}

API int nvmlDeviceGetName(struct gpu *gpu, char *s, unsigned n) { int e = ask(gpu); return e ? e : put(s, n, gpu->name); }
API int nvmlDeviceGetUUID(struct gpu *gpu, char *s, unsigned n) { int e = ask(gpu); return e ? e : put(s, n, gpu->uuid); }

API int nvmlDeviceGetMigMode(struct gpu *gpu, unsigned *current, unsigned *pending) {
    int error = ask(gpu);
    if (error) return error;
    *current = *pending = (unsigned)gpu->mig;
    return gpu->mig ? OK : NOT_SUPPORTED;
}

static int list(struct gpu *gpu, enum list which, unsigned *n, struct process *out) {
    int error = ask(gpu);
    if (error) return error;
    if (gpu->error) return gpu->error;
    unsigned room = *n;
    *n = gpu->count[which];
    if (*n && (!out || room < *n)) return INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < *n; i++) out[i] = (struct process){gpu->pids[which][i], 1 << 20, ~0u, ~0u};
    return OK;
}

#define CALL(name, which) \
    API int name##_v3(struct gpu *gpu, unsigned *n, struct process *out) { int e = list(gpu, which, n, out); return old ? FUNCTION_NOT_FOUND : e; } \
    API int name##_v2(struct gpu *gpu, unsigned *n, struct process *out) { return list(gpu, which, n, out); }
CALL(nvmlDeviceGetComputeRunningProcesses, COMPUTE)
CALL(nvmlDeviceGetGraphicsRunningProcesses, GRAPHICS)
CALL(nvmlDeviceGetMPSComputeRunningProcesses, MPS)
