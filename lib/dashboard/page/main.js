/** The dashboard in the browser: lets people in, asks the worker again and again, and does what buttons say. */
import { byId, setText } from "./dom.js";
import * as talk from "./talk.js";
import {
  openSessions,
  pill,
  showBuilds,
  showEnvironments,
  showFacts,
  showLog,
  showSession,
  showSessions,
  showTiles,
} from "./views.js";

/** Time between questions (milliseconds), and while the worker does not answer. */
const INTERVAL = 1000;
const RETRY = 3000;

let nextLine = 0;
let wake = () => {};

function show(what) {
  byId("login").hidden = what !== "login";
  byId("app").hidden = what !== "app";
}

function askForToken(message = "") {
  show("login");
  setText(byId("login-error"), message);
  byId("token").focus();
}

/** The token of the link that was followed; the address forgets it. */
function tokenOfLink() {
  const inFragment = new URLSearchParams(location.hash.slice(1)).get("token");
  const token = inFragment ?? new URLSearchParams(location.search).get("token");
  if (token !== null) history.replaceState(null, "", location.pathname);
  return token;
}

async function enter(token) {
  try {
    await talk.login(token);
  } catch (error) {
    return askForToken(error.message);
  }
  byId("token").value = "";
  start();
}

/** Waits, unless somebody wants news at once. */
function pause(milliseconds) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    wake = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}

function trouble(message) {
  const place = byId("trouble");
  place.hidden = message === "";
  setText(place, message);
  byId("app").classList.toggle("stale", message !== "");
}

async function refresh() {
  const { state, now } = await talk.state();
  pill(byId("connection"), state.worker.state);
  showTiles(state);
  showSessions(state, now);
  showBuilds(state, now);
  showEnvironments(state, now);
  showFacts(state, now);
  for (const id of openSessions()) {
    const session = await talk.session(id);
    if (session !== undefined) showSession(session, now);
  }
  const { lines, next } = await talk.log(nextLine);
  showLog(lines);
  nextLine = next;
}

let running = false;

/** Shows what there is until the login ends. Nothing is asked while nobody sees the page. */
async function start() {
  if (running) return;
  running = true;
  try {
    for (;;) {
      if (!document.hidden) {
        try {
          await refresh();
          show("app");
          trouble("");
        } catch (error) {
          if (error instanceof talk.LoginNeeded) return askForToken("Please log in again.");
          show("app");
          const reason = error instanceof talk.Refused ? error.message : "it cannot be reached";
          trouble(`The worker does not answer: ${reason}. What you see is old.`);
          await pause(RETRY);
        }
      }
      await pause(document.hidden ? 60_000 : INTERVAL);
    }
  } finally {
    running = false;
  }
}

let toastTimer;

function toast(message) {
  const place = byId("toast");
  setText(place, message);
  place.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => place.hidden = true, 6000);
}

/** Answers the question that is asked. */
let answer = () => {};

/** Asks before something is done that cannot be undone. */
function confirmed(title, text, yes) {
  answer(false);
  const dialog = byId("confirm");
  setText(byId("confirm-title"), title);
  setText(byId("confirm-text"), text);
  setText(byId("confirm-yes"), yes);
  return new Promise((resolve) => {
    answer = (isYes) => {
      answer = () => {};
      dialog.close();
      resolve(isYes);
    };
    dialog.showModal();
  });
}

const ACTIONS = {
  interrupt: {
    subject: (id) => ({ session: id }),
    done: ({ result }) => result ? "Interrupted." : "Nothing was running.",
  },
  stop: {
    question: (
      id,
    ) => [
      "Stop this session?",
      `${id} ends, and its variables are gone. Files its manifest names are saved first.`,
      "Stop",
    ],
    subject: (id) => ({ session: id }),
    done: ({ done }) => done ? "The session has ended." : "The session is ending.",
  },
  remove: {
    question: (
      key,
    ) => [
      "Remove this environment?",
      `${key} is built again when a session asks for it.`,
      "Remove",
    ],
    subject: (key) => ({ environment: key }),
    done: ({ done }) => done ? "The environment is removed." : "The environment is being removed.",
  },
};

async function act(action, key) {
  const { question, subject, done } = ACTIONS[action];
  if (question !== undefined && !await confirmed(...question(key))) return;
  try {
    toast(done(await talk.act(action, subject(key))));
  } catch (error) {
    if (error instanceof talk.LoginNeeded) return askForToken("Please log in again.");
    toast(error.message);
  }
  wake();
}

byId("login").querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  enter(byId("token").value.trim());
});
byId("logout").addEventListener("click", async () => {
  await talk.logout();
  wake();
});
byId("app").addEventListener("click", (event) => {
  const button = event.target.closest("button[data-action]");
  if (button === null) return;
  act(button.dataset.action, button.closest("details").dataset.key);
});
byId("app").addEventListener("toggle", (event) => {
  if (event.target.open) wake();
}, { capture: true });
byId("confirm-no").addEventListener("click", () => answer(false));
byId("confirm-yes").addEventListener("click", () => answer(true));
// The escape key.
byId("confirm").addEventListener("cancel", () => answer(false));
byId("problems").addEventListener("change", (event) => {
  const log = byId("log");
  log.classList.toggle("problems", event.target.checked);
  log.scrollTop = log.scrollHeight;
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) wake();
});

const token = tokenOfLink();
if (token !== null) enter(token);
else if (talk.hasKey()) start();
else askForToken();
