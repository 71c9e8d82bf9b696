/** What a connection to Kubernetes' API needs: its place, whom to trust, and who we are. */

/** Keys of a TLS connection, as PEM. */
export interface TlsKeys {
  /** Authorities to trust besides the well-known ones. */
  readonly caCerts?: string[];
  /** Our certificate, with {@linkcode key}. */
  readonly cert?: string;
  readonly key?: string;
}

/** What to use for one connection; valid for a short time only. */
export interface Credentials {
  /** Address of the API without a slash at its end; it may have a path. */
  readonly server: string;
  /** Does requests. Owned by the configuration. */
  readonly client: Deno.HttpClient;
  /** The same keys, for connections that the HTTP client cannot make. */
  readonly tls: TlsKeys;
  /** Socket of a program on this machine that speaks for us; the address has no meaning then. */
  readonly socketPath?: string;
  /** Value of the `authorization` header. */
  readonly authorization: string | undefined;
}

/** Where the API is and who we are. */
export interface Configuration extends AsyncDisposable {
  /** Address of the API, for messages. */
  readonly server: string;
  /** The namespace that the configuration names; `default` when it names none. */
  readonly namespace: string;
  /** Where this was found, for messages: a file and its context, or the pod's service account. */
  readonly source: string;
  /**
   * What to use now. Files are read again when they may have changed, and always with `renew`, which is for after the
   * API has refused what was given before.
   *
   * @throws WorkerError `connection_failed` when a file cannot be read or used
   */
  credentials(options?: { renew?: boolean }): Promise<Credentials>;
}
