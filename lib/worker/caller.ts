/**
 * Who calls a method, independent of the transport.
 *
 * The service room fills it from the context that the Hypha server stamps on each message
 * (facts: the controller calls as root from workspace `public`; direct callers carry their own identity).
 */

/** Who calls. */
export interface Caller {
  /**
   * - `controller`: the app controller of the server, on behalf of a tenant named in the arguments;
   * - `direct`: a client of the server;
   * - `local`: this very program (`hypha-conda-worker run`).
   */
  readonly kind: "controller" | "direct" | "local";
  /** Workspace the call comes from. */
  readonly workspace: string;
  /** Id of the user, for logs. */
  readonly user: string;
  /** Whether nobody is logged in. */
  readonly anonymous: boolean;
  /** Whether the caller administers its own workspace. */
  readonly admin: boolean;
}
