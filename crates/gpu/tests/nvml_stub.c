/* A driver library of three devices for tests: a busy card, a card in slices that tells nothing of its load, and one that is lost. */
#include <stdio.h>
#include <string.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, NO_PERMISSION = 4, GPU_IS_LOST = 15 };
enum { BUSY = 1, SLICED = 2, LOST = 3 };

typedef struct { unsigned version; unsigned long long total, reserved, free, used; } Memory;
typedef struct { unsigned gpu, memory; } Utilization;

static long id(void *device) { return (long)device; }

int nvmlInit_v2(void) { return SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
int nvmlSystemGetDriverVersion(char *text, unsigned length) { snprintf(text, length, "550.90.07"); return SUCCESS; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 3; return SUCCESS; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
  if (index + 1 == LOST) return GPU_IS_LOST;
  *device = (void *)(long)(index + 1);
  return SUCCESS;
}

int nvmlDeviceGetName(void *device, char *text, unsigned length) {
  snprintf(text, length, id(device) == BUSY ? "Stub L4" : "Stub H100");
  return SUCCESS;
}

int nvmlDeviceGetUUID(void *device, char *text, unsigned length) {
  snprintf(text, length, "GPU-%ld", id(device));
  return SUCCESS;
}

int nvmlDeviceGetMemoryInfo_v2(void *device, Memory *memory) {
  (void)device;
  memory->total = 24ull << 30;
  memory->used = 2ull << 30;
  memory->free = 22ull << 30;
  return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(void *device, Utilization *rates) {
  if (id(device) == SLICED) return NOT_SUPPORTED;
  rates->gpu = 40;
  rates->memory = 10;
  return SUCCESS;
}

int nvmlDeviceGetEncoderUtilization(void *device, unsigned *percent, unsigned *period) {
  if (id(device) == SLICED) return NOT_SUPPORTED;
  *percent = 65;
  *period = 1000;
  return SUCCESS;
}

int nvmlDeviceGetDecoderUtilization(void *device, unsigned *percent, unsigned *period) {
  if (id(device) == SLICED) return NOT_SUPPORTED;
  *percent = 30;
  *period = 1000;
  return SUCCESS;
}

int nvmlDeviceGetEncoderStats(void *device, unsigned *sessions, unsigned *fps, unsigned *latency) {
  if (id(device) == SLICED) return NO_PERMISSION;
  *sessions = 3;
  *fps = 30;
  *latency = 900;
  return SUCCESS;
}

int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *celsius) {
  (void)device;
  (void)sensor;
  *celsius = 55;
  return SUCCESS;
}

int nvmlDeviceGetMigMode(void *device, unsigned *current, unsigned *pending) {
  if (id(device) != SLICED) return NOT_SUPPORTED;
  *current = *pending = 1;
  return SUCCESS;
}
