/** conda, and mamba 1, which is a front-end over conda's command line. */
import { CommandManager } from "./command.ts";
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
    return [
      "create",
      "-y",
      "-p",
      request.prefix,
      "--override-channels",
      ...request.channels.flatMap((channel) => ["-c", channel]),
      ...PRIORITY_ARGUMENTS[request.channelPriority ?? "flexible"],
      ...request.packages,
    ];
  }

  protected override runArguments(prefix: string): string[] {
    // Without the flag conda keeps all output until the end and passes no input on; with exec the shell
    // between conda and the program is replaced by the program.
    return ["run", "--no-capture-output", "-p", prefix, "exec"];
  }

  protected override advance(state: ProgressStep["state"], line: string): ProgressStep {
    return advanceConda(state, line);
  }
}
