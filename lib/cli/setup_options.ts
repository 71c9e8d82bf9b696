/** The options of `setup`. */
import { MICROMAMBA_RELEASE } from "./micromamba_release.ts";
import { CONFIG, type Option } from "./option.ts";

/** Options of `setup`. */
export const SETUP_OPTIONS: readonly Option[] = [
  {
    name: "prefix",
    type: "text",
    value: "DIR",
    help: "Directory the program is put into",
    default: "~/.local/bin",
    environment: false,
  },
  {
    name: "url",
    type: "text",
    value: "URL",
    help: "Address of a mirror of micromamba's releases",
    variable: "micromamba-url",
  },
  {
    name: "release",
    type: "text",
    value: "VERSION",
    help: "Release to fetch, for example 2.3.0-1",
    default: MICROMAMBA_RELEASE,
    variable: "micromamba-release",
  },
  {
    name: "sha256",
    type: "text",
    value: "HASH",
    help: "SHA-256 the file must have",
    default: "known for the default release, else asked of the server",
    environment: false,
    file: false,
  },
  {
    name: "force",
    type: "flag",
    help: "Replace a micromamba that is there already",
    environment: false,
    file: false,
  },
  {
    name: "yes",
    type: "flag",
    short: "y",
    help: "Do not ask",
    environment: false,
    file: false,
  },
  CONFIG,
];
