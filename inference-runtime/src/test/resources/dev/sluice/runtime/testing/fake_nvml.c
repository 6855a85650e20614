/* A management library of two GPUs: the second one knows neither its power nor its energy. Each reading of the first
   one's energy finds 2500 mJ more. */
#include <string.h>

typedef struct { int number; } Device;
static Device devices[2] = {{0}, {1}};
static unsigned long long energy = 7000;
static int started;

int nvmlInit_v2(void) {
#ifdef NO_DRIVER
  return 9;
#endif
  started = 1;
  return 0;
}
int nvmlShutdown(void) { started = 0; return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 3; return started ? 0 : 1; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device **device) {
  if (index > 1) return 15; /* a third one is lost */
  *device = &devices[index];
  return 0;
}
int nvmlDeviceGetUUID(Device *device, char *uuid, unsigned length) {
  strncpy(uuid, device->number ? "GPU-second" : "GPU-first", length);
  return 0;
}
int nvmlDeviceGetUtilizationRates(Device *device, unsigned *gpuAndMemory) {
  gpuAndMemory[0] = device->number ? 100 : 37;
  gpuAndMemory[1] = 99;
  return 0;
}
int nvmlDeviceGetMemoryInfo(Device *device, unsigned long long *totalFreeUsed) {
  totalFreeUsed[0] = 150000000000ull;
  totalFreeUsed[1] = 149000000000ull;
  totalFreeUsed[2] = 1000000000ull;
  (void)device;
  return 0;
}
int nvmlDeviceGetPowerUsage(Device *device, unsigned *milliwatts) {
  *milliwatts = 120500;
  return device->number ? 3 : 0;
}
int nvmlDeviceGetTotalEnergyConsumption(Device *device, unsigned long long *millijoules) {
  if (device->number) return 3;
  *millijoules = energy;
  energy += 2500;
  return 0;
}
