import { paths } from '../src/api/wire.ts'
import { limits } from '../src/kernel/limits.ts'
import { instructions, tools } from '../src/mcp/server.ts'
import { shortJsonSchema, type Tool } from '../src/mcp/tool.ts'
import { generatedPage } from './pages.ts'

/** The page about the tools of agents: what a model reads of each, with the schemas as a client lists them. */
export function mcpPage(): string {
  return generatedPage(`# Tools of agents

The tools that \`lockstep mcp\` serves on stdin and stdout, and the service at \`${paths.mcp}\`. [How to use
MCP](../how-to/use-mcp.md) has the configuration of each harness. Breaking and recovering locks, the
policy, tokens and exports are not offered, because a person decides about them.

A model reads this when it connects:

> ${instructions}

## Answers

- Each tool answers with structured content that fits its schema, and with the same as text.
- Contention is an answer of \`lock_acquire\`, and a deny is one of \`action_authorize\`. An error has
  \`isError\` and the text \`{code, message, retryable, hint?, issues?}\` with a [code](errors.md).
- A call waits at most ${limits.toolWaitSecondsMax} s and tells its progress every ${limits.toolProgressMillis / 1000} s. Its place in line is kept for ${limits.toolPlaceMillis / 1000} s
  after it. A cancelled call leaves the line.
- Texts that other agents wrote stand below \`untrusted\`, each as one line of at most ${limits.untrustedChars} characters. In
  all texts of an answer, controls, markup and invisible characters are written as \`\\u{…}\`.
- The schemas leave out patterns and the bounds of texts. The ledger checks those of the
  [operations](operations.md).

## Resources

| URI | content, as JSON |
|---|---|
| \`lockstep://head\` | The answer of [\`head.get\`](head.md#headget) |
| \`lockstep://lock/NAME\` | The answer of \`lock_status\` for this lock |
| \`lockstep://run/RUN_ID\` | The answer of \`run_show\` |

## Tools

${tools.map(toolText).join('\n\n')}
`)
}

function toolText({ about, annotations, input, isOptional, name, output }: Tool): string {
  const hints = Object.entries(annotations).map(([hint, value]) => `\`${hint}: ${value}\``)
  return `### ${name}

${about}${isOptional ? ' Off unless the [configuration](configuration.md) sets `mcp.turn_apply`.' : ''}

Annotations: ${hints.join(', ')}. Arguments:

${schemaText(shortJsonSchema(input, 'input'))}

Answer:

${schemaText(shortJsonSchema(output, 'output'))}`
}

function schemaText(schema: object): string {
  return `\`\`\`json\n${JSON.stringify(schema, null, 2)}\n\`\`\``
}
