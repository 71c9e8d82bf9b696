/** The parts of the page, each from the state. */
import { byId, definitions, el, list, plain, setClass, setText, terminal } from "./dom.js";
import { ago, bytes, count, cpu, duration } from "./format.js";

const TONES = {
  running: "good",
  ready: "good",
  connected: "good",
  starting: "busy",
  building: "busy",
  busy: "busy",
  reconnecting: "warn",
  stopping: "warn",
  stopped: "warn",
  cancelled: "warn",
  idle: "calm",
  dead: "bad",
  broken: "bad",
  failed: "bad",
};

/** A state in a word, with a colour of its own. */
export function pill(element, word, tone = TONES[word] ?? "calm") {
  setText(element, word);
  setClass(element, `pill ${tone}`);
}

function sum(items, read) {
  return items.reduce((total, item) => total + (read(item) ?? 0), 0);
}

/** One figure with its name, and a bar when it is a part of something. */
function tile(row, { value, note, part }) {
  const [, figure, bar, small] = row.children;
  setText(figure, value);
  setText(small, note ?? "");
  bar.hidden = part === undefined;
  if (part !== undefined) bar.value = Math.min(1, part);
}

/** The figures at the top. */
export function showTiles(state) {
  const { worker, sessions, environments, builds } = state;
  const busy = sessions.items.filter((session) => session.busy).length;
  const running = builds.filter((build) => build.state === "running").length;
  const { machine_memory_bytes: memory, machine_memory_free_bytes: free } = worker;
  const items = [
    {
      name: "Sessions",
      value: String(sessions.total),
      note: `${busy} busy${worker.max_sessions ? `, ${worker.max_sessions} at most` : ""}`,
      part: worker.load,
    },
    {
      name: "Memory of sessions",
      value: bytes(sum(sessions.items, (session) => session.memory_bytes)),
      note: `worker ${bytes(worker.memory_bytes)}`,
    },
    {
      name: "Memory of the machine",
      value: `${Math.round((100 * (memory - free)) / memory)} %`,
      note: `${bytes(free)} of ${bytes(memory)} free`,
      part: (memory - free) / memory,
    },
    {
      name: "CPU of sessions",
      value: sum(sessions.items, (session) => session.cpus).toFixed(1),
      note: "processors busy",
    },
    {
      name: "Environments",
      value: String(environments.total ?? "–"),
      note: running > 0
        ? `${running} being built`
        : environments.bytes === null
        ? "in the cache"
        : bytes(environments.bytes),
    },
    {
      name: "Free for the cache",
      value: bytes(worker.cache_free_bytes),
      note: worker.cache_dir,
    },
  ];
  list(
    byId("tiles"),
    items,
    (item) => item.name,
    (item) => {
      const bar = el("meter", { min: "0", max: "1", high: "0.9", "aria-label": item.name });
      return el(
        "div",
        { class: "tile" },
        el("dt", {}, item.name),
        el("dd", { class: "figure" }),
        bar,
        el("dd", { class: "note" }),
      );
    },
    tile,
  );
}

/** What the worker is. */
export function showFacts({ worker }, now) {
  setText(byId("service"), worker.service_id);
  definitions(byId("facts"), [
    ["Server", worker.server_url],
    ["Workspace", worker.workspace],
    ["Service", worker.service_id],
    ["Visibility", worker.visibility],
    ["Up for", duration(now - Date.parse(worker.started_at))],
    ["Server last heard", worker.last_contact && `${ago(worker.last_contact, now)} ago`],
    ["Reconnections", worker.reconnects],
    ["Package manager", worker.manager],
    ["Isolation", worker.isolation],
    ["Version", worker.version],
    ["Process", worker.pid],
  ]);
}

/** A row that opens: cells in its summary, and what is told when it is open. */
function opening(kind, cells, more) {
  const summary = el("summary", { class: `cells ${kind}` }, el("span", { class: "arrow" }));
  for (const [name, label, ...content] of cells) {
    summary.append(el("span", { class: `cell ${name}`, "data-label": label }, ...content));
  }
  return el("details", { class: "row" }, summary, el("div", { class: "more" }, ...more));
}

function cell(row, name) {
  return row.querySelector(`:scope > summary > .${name}`);
}

function named(row, id, small) {
  const place = cell(row, "name");
  setText(place.firstElementChild, id);
  setText(place.lastElementChild, small);
}

function name() {
  return [el("span", { class: "id mono" }), el("span", { class: "muted small" })];
}

function button(action, label, tone = "") {
  return el("button", { "data-action": action, class: tone }, label);
}

/** How a session is doing, in a word. */
function stateOf(session) {
  if (session.state !== "running") return session.state;
  return session.busy ? "busy" : "idle";
}

/** The sessions, each with its actions and outputs behind it. */
export function showSessions({ sessions }, now) {
  const { items, total } = sessions;
  setText(byId("sessions-count"), total === 0 ? "" : String(total));
  byId("no-sessions").hidden = total > 0;
  list(
    byId("sessions"),
    items,
    (session) => session.id,
    () =>
      opening("sessions", [
        ["name", "Session", ...name()],
        ["state", "State", el("span"), el("span", { class: "muted small" })],
        ["cpu", "CPU"],
        ["memory", "Memory"],
        ["age", "Age"],
        ["output", "Last output"],
      ], [
        el(
          "div",
          { class: "buttons" },
          button("interrupt", "Interrupt"),
          button("stop", "Stop", "danger"),
        ),
        el("dl", { class: "about" }),
        el("pre", { class: "output", tabindex: "0" }),
      ]),
    (row, session) => {
      named(row, session.id, [session.app_id, session.workspace].filter(Boolean).join(" · "));
      const state = cell(row, "state");
      pill(state.firstElementChild, stateOf(session));
      setText(state.lastElementChild, session.queued > 0 ? `${session.queued} waiting` : "");
      setText(cell(row, "cpu"), cpu(session));
      setText(cell(row, "memory"), bytes(session.memory_bytes));
      setText(cell(row, "age"), ago(session.created_at, now));
      const last = session.last_output;
      const text = last === null ? "" : plain(last.text).trimEnd().split("\n").at(-1);
      const output = cell(row, "output");
      setText(output, text);
      setClass(output, `cell output mono ${last?.type === "error" ? "error" : ""}`);
      row.querySelector("[data-action=interrupt]").disabled = !session.busy;
    },
  );
}

/** Ids of the sessions that are looked at. */
export function openSessions() {
  return [...byId("sessions").querySelectorAll(":scope > details[open]")]
    .map((row) => row.dataset.key);
}

/** What is told of a session that is looked at. */
export function showSession(session, now) {
  const row = [...byId("sessions").children].find((one) => one.dataset.key === session.id);
  if (row === undefined) return;
  const { limits } = session;
  definitions(row.querySelector(".about"), [
    ["Ended", session.death],
    ["Depends on", session.dependencies.join("  ")],
    ["Channels", session.channels.join("  ")],
    ["Environment", session.environment],
    ["Python", session.python],
    ["App", session.app_id],
    ["Workspace", session.workspace],
    ["Client", session.client_id],
    [
      "Entry script",
      session.entry_point && `${session.entry_point}${session.serving ? " (runs)" : ""}`,
    ],
    ["Started", new Date(session.created_at).toLocaleString()],
    ["Last active", `${ago(session.last_active, now)} ago`],
    ["Waiting", session.queued > 0 ? count(session.queued, "execution") : null],
    ["Processor time", session.cpu_seconds === null ? null : duration(session.cpu_seconds * 1000)],
    ["Processes", session.processes],
    ["Process", session.pid],
    ["Memory limit", limits.memory && bytes(limits.memory)],
    ["Idle limit", limits.idle_timeout && duration(limits.idle_timeout * 1000)],
    ["Life limit", limits.max_lifetime && duration(limits.max_lifetime * 1000)],
  ]);
  const output = row.querySelector("pre.output");
  const content = session.output.map((entry) => entry.type + entry.text).join("\0");
  if (output.shown === content) return;
  output.shown = content;
  const atEnd = output.scrollHeight - output.scrollTop - output.clientHeight < 30;
  output.replaceChildren(...session.output.map(({ type, text }) => {
    const line = el("span", { class: `from-${type}` });
    line.append(terminal(text.endsWith("\n") ? text : `${text}\n`));
    return line;
  }));
  if (session.output.length === 0) {
    output.append(el("span", { class: "muted" }, "No output so far."));
  }
  if (atEnd) output.scrollTop = output.scrollHeight;
}

const PHASES = {
  start: "Starting",
  solve: "Solving",
  download: "Downloading",
  link: "Installing",
  pip: "Installing with pip",
  retry: "Trying again",
  wait: "Waiting",
};

/** The builds, those that run with their progress. */
export function showBuilds({ builds }, now) {
  const running = builds.filter((build) => build.state === "running").length;
  setText(byId("builds-count"), running === 0 ? "" : `${running} running`);
  byId("no-builds").hidden = builds.length > 0;
  list(
    byId("builds"),
    builds,
    (build) => String(build.id),
    () =>
      el(
        "div",
        { class: "row build" },
        el(
          "div",
          { class: "build-top" },
          el("span"),
          el("span", { class: "mono what" }),
          el("span", { class: "muted small time" }),
        ),
        el("progress", { max: "100" }),
        el("div", { class: "muted small message" }),
        el("div", { class: "muted small for" }),
      ),
    (row, build) => {
      const active = build.state === "running";
      const word = active ? PHASES[build.phase] ?? "Building" : build.state;
      pill(row.querySelector(".build-top").firstElementChild, word, active ? "busy" : undefined);
      setText(row.querySelector(".what"), build.dependencies.join("  "));
      const time = duration(
        (build.ended ? Date.parse(build.ended) : now) - Date.parse(build.started),
      );
      const percent = build.percent === null ? "" : `${Math.floor(build.percent)} % · `;
      setText(
        row.querySelector(".time"),
        active ? percent + time : `took ${time} · ${ago(build.ended, now)} ago`,
      );
      const bar = row.querySelector("progress");
      bar.hidden = !active;
      bar.setAttribute("aria-label", `Build of ${build.dependencies.join(" ")}`);
      if (build.percent === null) bar.removeAttribute("value");
      else bar.value = build.percent;
      const message = row.querySelector(".message");
      setText(message, build.state === "ready" ? "" : build.message);
      message.classList.toggle("error", build.state === "failed");
      const key = build.environment ? [`environment ${build.environment}`] : [];
      const sessions = build.sessions.length > 0 ? [`for ${build.sessions.join(", ")}`] : [];
      setText(row.querySelector(".for"), [...key, ...sessions].join(" · "));
    },
  );
}

function usersOf(environment, self) {
  const words = [];
  if (environment.sessions > 0) words.push(count(environment.sessions, "session"));
  const others = environment.pids.filter((pid) => pid !== self).length;
  if (others > 0) words.push(count(others, "other worker"));
  if (words.length === 0 && environment.in_use) words.push("kept ready");
  return words.join(", ") || "nobody";
}

/** The environments in the cache. */
export function showEnvironments({ environments, worker }, now) {
  const { items, total } = environments;
  const size = environments.bytes === null ? "" : ` · ${bytes(environments.bytes)}`;
  setText(byId("environments-count"), total ? total + size : "");
  const empty = byId("no-environments");
  empty.hidden = items.length > 0;
  setText(empty, total === null ? "Looking at the cache…" : "The cache is empty.");
  list(
    byId("environments"),
    items,
    (environment) => environment.key,
    () =>
      opening("environments", [
        ["name", "Environment", ...name()],
        ["state", "State", el("span")],
        ["users", "Used by"],
        ["size", "Size"],
        ["used", "Last use"],
        ["what", "Asked for"],
      ], [
        el("div", { class: "buttons" }, button("remove", "Remove", "danger")),
        el("dl", { class: "about" }),
      ]),
    (row, environment) => {
      named(row, environment.key, environment.python ? `Python ${environment.python}` : "");
      pill(cell(row, "state").firstElementChild, environment.state);
      setText(cell(row, "users"), usersOf(environment, worker.pid));
      setText(cell(row, "size"), bytes(environment.size));
      setText(cell(row, "used"), ago(environment.last_used, now));
      setText(cell(row, "what"), environment.dependencies.join("  "));
      setClass(cell(row, "what"), "cell what mono");
      const remove = row.querySelector("[data-action=remove]");
      const used = environment.sessions > 0 || environment.pids.some((pid) => pid !== worker.pid);
      remove.disabled = used || environment.state === "building";
      const { manager } = environment;
      definitions(row.querySelector(".about"), [
        ["Broken", environment.reason],
        ["Asked for", environment.dependencies.join("  ")],
        ["Packages", environment.package_count],
        ["Size of its own", bytes(environment.size)],
        [
          "Shared with others",
          environment.shared_size === null ? null : bytes(environment.shared_size),
        ],
        ["Made", environment.created && new Date(environment.created).toLocaleString()],
        ["Built in", environment.build_ms === null ? null : duration(environment.build_ms)],
        ["Made by", manager && `${manager.kind} ${manager.version}`],
        ["Processes", environment.pids.join(", ")],
        ["Place", environment.prefix],
      ]);
    },
  );
}

const LINE = /^\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d)\.\d+Z (DEBUG|INFO|WARNING|ERROR) ([^]*)$/;
const MAX_LINES = 1000;

/** Adds log lines at the end; the view follows while it is at the end. */
export function showLog(lines) {
  const log = byId("log");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 30;
  for (const line of lines) {
    const [, time = "", level = "INFO", text = line] = LINE.exec(line) ?? [];
    const word = level.toLowerCase();
    log.append(
      el(
        "div",
        { class: `line level-${word}` },
        el("span", { class: "time" }, time),
        el("span", { class: "level" }, word),
        el("span", { class: "text" }, text),
      ),
    );
  }
  while (log.childElementCount > MAX_LINES) log.firstElementChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}
