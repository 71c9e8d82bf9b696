/** What of the machine a session may use, as `machine.py` reports it. */

/** A graphics processor that has a device file here. */
export interface GraphicsDevice {
  vendor: string | null;
  /** Its device file. */
  device: string;
  name: string | null;
  uuid: string | null;
  /** Its address on the PCI bus. */
  bus: string | null;
  /** Whether programs can compute on it; told of others than NVIDIA's. */
  compute?: boolean;
}

/** What of the machine a session may use; `null` where nothing is known or there is no limit. */
export interface Resources {
  /** Processors it may use: the lower of affinity and quota. */
  cpus: number | null;
  cpu_affinity: number | null;
  /** Quota of its control groups (processors). */
  cpu_quota: number | null;
  /** The lowest of its own limit, those of its control groups, and the machine's memory (bytes). */
  memory_limit: number | null;
  memory_total: number | null;
  /** Processes its control groups allow. */
  process_limit: number | null;
  gpu: {
    /** The variables that choose among the devices, as the session was started with them. */
    visible: Record<string, string | null>;
    devices: GraphicsDevice[];
  };
}
