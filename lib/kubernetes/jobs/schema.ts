/** What `start` and `compile` take as a manifest, told to programs that choose arguments by it. */
import type { JsonSchema } from "../../worker/method.ts";
import { type Field, FIELDS } from "./fields.ts";

/** Schema of a manifest, from the table of fields. */
export function manifestSchema(): JsonSchema {
  const properties = Object.entries<Field>(FIELDS).map(([name, field]) => {
    const only = field.types.length === FIELDS.type.types.length
      ? ""
      : ` Only for ${field.types.join(" and ")}.`;
    const schema: JsonSchema = {
      ...field.kind.schema,
      description: `${field.description}${only}`.replaceAll("`", ""),
      examples: [field.example],
    };
    return [name, schema] as const;
  });
  return {
    type: "object",
    description: "The app's manifest.",
    properties: Object.fromEntries(properties),
    additionalProperties: true,
    examples: [{ image: FIELDS.image.example, command: FIELDS.command.example }],
  };
}
