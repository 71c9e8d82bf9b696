/** Figures for people. */

const UNITS = ["B", "KB", "MB", "GB", "TB"];

/** A number of bytes; nothing for what is not known. */
export function bytes(value) {
  if (value === null || value === undefined) return "–";
  let unit = 0;
  let rest = value;
  for (; rest >= 1000 && unit < UNITS.length - 1; unit++) rest /= 1000;
  return `${unit === 0 || rest >= 99.5 ? Math.round(rest) : rest.toFixed(1)} ${UNITS[unit]}`;
}

/** A time in milliseconds, in its two largest units. */
export function duration(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  const days = Math.floor(seconds / 86_400);
  const hours = Math.floor(seconds / 3600) % 24;
  const minutes = Math.floor(seconds / 60) % 60;
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  if (minutes > 0) return `${minutes} min ${seconds % 60} s`;
  return `${seconds} s`;
}

/** How long ago something was, in its largest unit. */
export function ago(time, now) {
  if (time === null || time === undefined) return "–";
  const seconds = Math.max(0, Math.round((now - Date.parse(time)) / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** Processors in use, as top tells them; 100 % is one. */
export function cpu(session) {
  return session.cpus === null ? "–" : `${Math.round(session.cpus * 100)} %`;
}

/** A number and its noun. */
export function count(number, one, many = `${one}s`) {
  return `${number} ${number === 1 ? one : many}`;
}
