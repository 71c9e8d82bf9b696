/** mamba 2 and micromamba: one command line. */
import { CommandManager } from "./command.ts";
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
      "--no-rc",
      "--override-channels",
      ...request.channels.flatMap((channel) => ["-c", channel]),
      ...(request.channelPriority === undefined
        ? []
        : ["--channel-priority", request.channelPriority]),
      // Compiling is most of the time of a create, and Python does it on first import anyway.
      "--no-pyc",
      ...request.packages,
    ];
  }

  protected override runArguments(prefix: string): string[] {
    return ["run", "-p", prefix];
  }

  protected override advance(state: ProgressStep["state"], line: string): ProgressStep {
    return advanceLibmamba(state, line);
  }
}
