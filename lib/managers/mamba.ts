/** mamba 2 and micromamba: one command line. */
import { CommandManager, LOCK_FILE } from "./command.ts";
import type { CreateRequest, ManagerFamily } from "./manager.ts";
import { advanceLibmamba, type ProgressStep } from "./progress.ts";

/** A manager with the command line of mamba 2. */
export class LibmambaManager extends CommandManager {
  override readonly family: ManagerFamily = "libmamba";

  protected override createArguments(request: CreateRequest): string[] {
    return [
      "create",
      "-y",
      "-p",
      request.prefix,
      ...(this.usesConfiguration ? [] : ["--no-rc"]),
      // Compiling is most of the time of a create, and Python does it on first import anyway.
      "--no-pyc",
      ...(request.explicit?.length ? ["-f", LOCK_FILE] : this.#solveArguments(request)),
    ];
  }

  #solveArguments(request: CreateRequest): string[] {
    return [
      // With it channels of the configuration do not count.
      ...(this.usesConfiguration ? [] : ["--override-channels"]),
      ...request.channels.flatMap((channel) => ["-c", channel]),
      ...(request.channelPriority === undefined
        ? []
        : ["--channel-priority", request.channelPriority]),
      ...request.packages,
    ];
  }

  /** 1.5 knows SHA-256 in lock files, 2.0 has forgotten it, and from 2.1 on it is back. */
  protected override get checksSha256(): boolean {
    return !this.version.startsWith("2.0.");
  }

  protected override runArguments(prefix: string): string[] {
    return ["run", "-p", prefix];
  }

  protected override advance(state: ProgressStep["state"], line: string): ProgressStep {
    return advanceLibmamba(state, line);
  }
}
