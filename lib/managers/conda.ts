/** conda, and mamba 1, which is a front-end over conda's command line. */
import { CommandManager, LOCK_FILE } from "./command.ts";
import type { ChannelPriority, CreateRequest, ManagerFamily } from "./manager.ts";
import { advanceConda, type ProgressStep } from "./progress.ts";

const PRIORITY_ARGUMENTS: Record<ChannelPriority, string[]> = {
  strict: ["--strict-channel-priority"],
  flexible: [],
  disabled: ["--no-channel-priority"],
};

/** A manager with the command line of conda. */
export class CondaManager extends CommandManager {
  override readonly family: ManagerFamily = "conda";

  protected override createArguments(request: CreateRequest): string[] {
    const explicit = (request.explicit?.length ?? 0) > 0;
    return [
      "create",
      "-y",
      "-p",
      request.prefix,
      ...(explicit ? ["--file", LOCK_FILE] : this.#solveArguments(request)),
    ];
  }

  #solveArguments(request: CreateRequest): string[] {
    return [
      // conda reads the files in /etc/conda and in its own directory in any case. With these three, channels,
      // pinned packages and default packages named there do not count.
      ...(this.usesConfiguration
        ? []
        : ["--override-channels", "--no-pin", "--no-default-packages"]),
      ...request.channels.flatMap((channel) => ["-c", channel]),
      ...PRIORITY_ARGUMENTS[request.channelPriority ?? "flexible"],
      ...request.packages,
    ];
  }

  protected override createVariables(request: CreateRequest): Record<string, string> {
    // For the same files: a variable counts more. There is no option for `flexible`.
    return this.usesConfiguration
      ? {}
      : { CONDA_CHANNEL_PRIORITY: request.channelPriority ?? "flexible" };
  }

  /** conda does from 24.9 on; mamba 1 does what the conda below it does, of whatever version. */
  protected override get checksSha256(): boolean {
    const [major = 0, minor = 0] = this.version.split(".").map(Number);
    return major > 24 || (major === 24 && minor >= 9);
  }

  protected override runArguments(prefix: string): string[] {
    // Without the flag conda keeps all output until the end and passes no input on; with exec the shell
    // between conda and the program is replaced by the program.
    return ["run", "--no-capture-output", "-p", prefix, "exec"];
  }

  /** Over a second, and several on a busy machine; mamba 1 leaves it to conda. */
  protected override get startsSlowly(): boolean {
    return true;
  }

  protected override advance(state: ProgressStep["state"], line: string): ProgressStep {
    return advanceConda(state, line);
  }
}
