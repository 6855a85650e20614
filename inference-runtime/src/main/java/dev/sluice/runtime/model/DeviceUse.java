package dev.sluice.runtime.model;

import dev.sluice.runtime.model.ExecutionSettings.Device;
import java.util.List;

/// What a session was asked to run on and what it does run on.
///
/// @param devices `cpu`, or each GPU as `gpu:0`; empty when it can run nowhere any more
public record DeviceUse(Device asked, List<String> devices) {
  private static final String GPU = "gpu:";
  /// One run computes on a GPU while the next one's tensors travel; more would wait where nobody can stop them.
  private static final int INSTANCES_PER_GPU = 2;

  public DeviceUse {
    devices = List.copyOf(devices);
  }

  public static DeviceUse cpu() {
    return new DeviceUse(Device.CPU, List.of("cpu"));
  }

  public boolean onGpu() {
    return devices.stream().anyMatch(device -> device.startsWith(GPU));
  }

  /// The numbers of the GPUs it runs on; empty on the CPU.
  public List<Integer> gpus() {
    return devices.stream()
        .filter(device -> device.startsWith(GPU))
        .map(device -> Integer.valueOf(device.substring(GPU.length())))
        .toList();
  }

  /// How many runs at the same time suit each of the devices when the configuration does not say.
  public int instancesPerDevice() {
    return onGpu() ? INSTANCES_PER_GPU : Scheduling.defaults().instances();
  }
}
