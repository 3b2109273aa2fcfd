import { readFileSync } from 'node:fs'
import type * as z from 'zod'
import { membersOf, unwrapped } from '../src/api/hints.ts'
import { type JsonSchema, jsonSchemaOf } from '../src/api/json-schema.ts'
import { errorsOf, formsOf, grantsOf } from '../src/api/operation.ts'
import { everyOperation, type Operation } from '../src/api/operations.ts'
import { mediaTypes, pathOf, paths } from '../src/api/wire.ts'
import { type Code, codes } from '../src/errors.ts'
import { harnessNames } from '../src/hooks/forms.ts'
import { isVerbatim } from '../src/service/input.ts'

const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }

/** The routes of the service as an OpenAPI 3.1 document, made from the tables of operations. */
export function openApi(): JsonSchema {
  const schemas: Record<string, JsonSchema> = { problem: problemSchema }
  const operations = everyOperation().map((operation) => {
    const { facts, noun, verb } = operation
    return [pathOf(noun, verb), { [facts.kind === 'command' ? 'post' : 'get']: routeOf(operation, schemas) }] as const
  })
  const routes = Object.fromEntries([...operations, ...otherRoutes])
  return {
    openapi: '3.1.0',
    info: {
      title: 'Lockstep',
      version: manifest.version,
      description: 'An append-only ledger for fleets of AI agents. The routes below /v1 may still change.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/', description: 'The service of one ledger, at its Unix socket or its TCP address.' }],
    security: [{}, { token: [] }],
    paths: routes,
    components: {
      schemas,
      responses: {
        problem: {
          description: 'The request failed.',
          content: { [mediaTypes.problem]: { schema: { $ref: '#/components/schemas/problem' } } },
        },
      },
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
    },
  }
}

function routeOf(operation: Operation, schemas: Record<string, JsonSchema>): JsonSchema {
  const { facts, name, noun } = operation
  const forms = [...formsOf(facts)]
  const grants = forms.map(([form]) => `${form === '' ? '' : `with ${form}: `}${grantsOf(facts, form).join(' or ')}`)
  const answer = placed(facts.output, 'output', schemas)
  const type = facts.kind === 'stream' ? mediaTypes.lines : mediaTypes.json
  const inputs = forms.map(([, schema]) => schema)
  return {
    operationId: name,
    tags: [noun],
    summary: facts.summary,
    description: `Grants: ${[...new Set(grants)].join('; ')}.${facts.kind === 'stream' ? ' One line an item, and a last line {"end":true} or {"problem":…}.' : ''}`,
    ...(facts.kind === 'command' ? bodyOf(inputs, schemas) : { parameters: parametersOf(inputs, schemas) }),
    responses: {
      200: {
        description: facts.kind === 'stream' ? 'The items.' : 'The answer.',
        content: { [type]: { schema: answer } },
      },
      ...problemsOf([...errorsOf(facts), ...serviceErrors]),
    },
  }
}

const serviceErrors: readonly Code[] = ['UNAUTHENTICATED', 'FORBIDDEN', 'RATE_LIMITED']

/** The responses of errors: each status with its codes. */
function problemsOf(all: readonly Code[]): JsonSchema {
  const byStatus = new Map<number, Set<Code>>()
  for (const code of all) {
    const { status } = codes[code]
    byStatus.set(status, (byStatus.get(status) ?? new Set()).add(code))
  }
  const content = { [mediaTypes.problem]: { schema: { $ref: '#/components/schemas/problem' } } }
  return Object.fromEntries(
    [...byStatus].map(([status, found]) => [status, { description: `${[...found].join(', ')}.`, content }]),
  )
}

function bodyOf(inputs: readonly z.ZodType[], schemas: Record<string, JsonSchema>): JsonSchema {
  const placedInputs = inputs.map((input) => placed(input, 'input', schemas))
  const [only] = placedInputs
  const schema = placedInputs.length === 1 ? only : { anyOf: placedInputs }
  return {
    parameters: [
      {
        name: 'Idempotency-Key',
        in: 'header',
        description: 'A repeated request with the same key and content gets the first answer.',
        schema: { type: 'string', minLength: 1, maxLength: 200 },
      },
      {
        name: 'traceparent',
        in: 'header',
        description:
          'The trace that the call belongs to (W3C Trace Context). Its entries keep it; an invalid one is ignored.',
        schema: { type: 'string', maxLength: 55 },
      },
    ],
    requestBody: { content: { [mediaTypes.json]: { schema } } },
  }
}

/** A header that a request may have. */
function headerOf(name: string, description: string): JsonSchema {
  return { name, in: 'header', description, schema: { type: 'string' } }
}

/** The parameters of all forms. A member is required if every form requires it. */
function parametersOf(inputs: readonly z.ZodType[], schemas: Record<string, JsonSchema>): JsonSchema[] {
  const parameters = new Map<string, JsonSchema>()
  for (const input of inputs) {
    const { properties, required } = objectOf(placed(input, 'input', schemas), schemas)
    for (const [name, member] of membersOf(unwrapped(input, 'input'))) {
      const { description, ...schema } = properties[name] ?? {}
      parameters.set(name, {
        name,
        in: 'query',
        required: inputs.length === 1 && required.includes(name),
        ...(description === undefined ? {} : { description }),
        ...(isVerbatim(member) ? { schema } : { content: { [mediaTypes.json]: { schema } } }),
      })
    }
  }
  return [...parameters.values()]
}

function objectOf(json: JsonSchema, schemas: Record<string, JsonSchema>) {
  const { $ref } = json
  const place = typeof $ref === 'string' ? schemas[$ref.slice(componentPrefix.length)] : json
  const { properties = {}, required = [] } = (place ?? {}) as { properties?: JsonSchema; required?: string[] }
  return { properties: properties as Record<string, JsonSchema>, required }
}

const componentPrefix = '#/components/schemas/'

/** A schema with its definitions moved to the components of the document. Equal definitions are written once. */
function placed(schema: z.ZodType, io: 'input' | 'output', schemas: Record<string, JsonSchema>): JsonSchema {
  const { $defs = {}, $schema: _, ...json } = jsonSchemaOf(schema, io)
  const definitions = Object.entries($defs as Record<string, JsonSchema>)
  const names = new Map(definitions.map(([id, definition]) => [id, nameOf(id, definition, { io, schemas })]))
  const moved = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(moved)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(
      Object.entries(value)
        .filter(([keyword, of]) => keyword !== 'id' || typeof of !== 'string')
        .map(([keyword, of]) => {
          if (keyword !== '$ref' || typeof of !== 'string') return [keyword, moved(of)]
          const id = of.slice('#/$defs/'.length)
          return [keyword, `${componentPrefix}${names.get(id) ?? id}`]
        }),
    )
  }
  for (const [id, definition] of definitions) schemas[names.get(id) ?? id] = moved(definition) as JsonSchema
  return moved(json) as JsonSchema
}

/**
 * The name of a definition among the components: its own, or with its direction if what is read differs from what is
 * written, or a number if it has none.
 */
function nameOf(
  id: string,
  definition: JsonSchema,
  { io, schemas }: { io: 'input' | 'output'; schemas: Record<string, JsonSchema> },
): string {
  const content = JSON.stringify(definition)
  const own = id.startsWith('__') ? `shape_${Object.keys(schemas).length}` : id
  const known = contents.get(schemas) ?? new Map<string, string>()
  contents.set(schemas, known)
  const name = known.get(`${id} ${content}`) ?? (own in schemas ? `${own}_${io}` : own)
  known.set(`${id} ${content}`, name)
  schemas[name] ??= {}
  return name
}

/** The names of the definitions of each document by their content. */
const contents = new WeakMap<object, Map<string, string>>()

const problemSchema: JsonSchema = {
  type: 'object',
  description: 'A problem document (RFC 9457).',
  properties: {
    type: { type: 'string', description: 'urn:lockstep:error: and the code.' },
    title: { type: 'string', description: 'The meaning of the code.' },
    status: { type: 'integer', description: 'The HTTP status.' },
    detail: { type: 'string', description: 'What happened.' },
    code: { type: 'string', enum: Object.keys(codes) },
    retryable: { type: 'boolean', description: 'Whether the same request may succeed later.' },
    hint: { type: 'string', description: 'What to do next.' },
    details: { type: 'object', description: 'Facts about the error.' },
    errors: {
      type: 'array',
      description: 'The invalid members of the input.',
      items: {
        type: 'object',
        properties: { path: { type: 'string' }, message: { type: 'string' } },
        required: ['path', 'message'],
      },
    },
    request_id: { type: 'string', description: 'The id of the request, as in the logs.' },
  },
  required: ['type', 'title', 'status', 'detail', 'code', 'retryable', 'details', 'request_id'],
}

const problem = { default: { $ref: '#/components/responses/problem' } }
const answerOf = (description: string, type: string, schema: JsonSchema = { type: 'object' }) => ({
  responses: { 200: { description, content: { [type]: { schema } } }, ...problem },
})

const otherRoutes: readonly [string, JsonSchema][] = [
  [
    paths.batch,
    {
      post: {
        operationId: 'batch',
        summary: 'Makes up to 256 calls. They are decided in the order of the lines; each succeeds or fails alone.',
        requestBody: {
          required: true,
          content: { [mediaTypes.lines]: { schema: { type: 'string', description: 'One {"call","input"} a line.' } } },
        },
        ...answerOf('One {"status","answer"} or {"status","problem"} a line.', mediaTypes.lines, { type: 'string' }),
      },
    },
  ],
  [
    paths.hooks,
    {
      parameters: [
        {
          name: 'harness',
          in: 'path',
          required: true,
          description: 'The harness that calls its hook.',
          schema: { type: 'string', enum: [...harnessNames] },
        },
      ],
      post: {
        operationId: 'hooks',
        summary: 'Answers a hook of a coding agent. The answer is what the hook prints: a document, or nothing.',
        parameters: [
          headerOf('Lockstep-Process', 'The process above the hook, and on Linux its start time: "PID START".'),
          headerOf('Lockstep-Actor', 'The actor, as in LOCKSTEP_ACTOR.'),
          headerOf('Lockstep-On-Behalf-Of', 'The party that the actor acts for.'),
          headerOf('Lockstep-Lock-Id', 'A lock that the agent holds.'),
        ],
        requestBody: {
          required: true,
          content: { [mediaTypes.json]: { schema: { type: 'object', description: 'The document on stdin.' } } },
        },
        ...answerOf('What the hook prints.', mediaTypes.hook, { type: 'string' }),
      },
    },
  ],
  [
    paths.events,
    {
      get: {
        operationId: 'events',
        summary: 'Follows the entries of the ledger as server-sent events. The id of an event is its seq.',
        parameters: [
          { name: 'from', in: 'query', description: 'The first seq.', schema: { type: 'integer', minimum: 0 } },
          headerOf('Last-Event-ID', 'Resume after this seq.'),
        ],
        ...answerOf('The events.', mediaTypes.events, { type: 'string' }),
      },
    },
  ],
  [
    paths.mcp,
    {
      post: {
        operationId: 'mcp',
        summary: 'The tools of agents over the Model Context Protocol, versions 2025-11-25 and 2026-07-28.',
        requestBody: { required: true, content: { [mediaTypes.json]: { schema: { type: 'object' } } } },
        ...answerOf('A message of JSON-RPC. A call that tells its progress is answered with events.', mediaTypes.json),
      },
    },
  ],
  [
    paths.objects,
    {
      parameters: [
        { name: 'digest', in: 'path', required: true, description: 'The SHA-256 in hex.', schema: { type: 'string' } },
      ],
      put: {
        operationId: 'putObject',
        summary: 'Keeps the proposal of a turn under its SHA-256, so that turns.stage and turns.apply can name it.',
        requestBody: {
          required: true,
          content: {
            [mediaTypes.lines]: {
              schema: {
                type: 'string',
                description: 'One object a line, with one member: triplet, tombstone, delete_stem or issue.',
              },
            },
          },
        },
        ...answerOf('The digest, and the number of bytes.', mediaTypes.json),
      },
      get: {
        operationId: 'getObject',
        summary: 'An upload, or an object that the ledger has, by its SHA-256.',
        responses: {
          200: {
            description: 'The bytes.',
            content: {
              [mediaTypes.lines]: { schema: { type: 'string' } },
              [mediaTypes.json]: { schema: { type: 'object' } },
            },
          },
          ...problem,
        },
      },
    },
  ],
  [
    paths.tiles,
    {
      parameters: [
        {
          name: 'path',
          in: 'path',
          required: true,
          description: 'checkpoint, or the path of a tile or of a bundle of entries as in C2SP tlog-tiles.',
          schema: { type: 'string' },
        },
      ],
      get: {
        operationId: 'getTile',
        summary: 'The signed checkpoint, a tile of hashes, or a bundle of entries (C2SP tlog-tiles).',
        responses: {
          200: {
            description: 'The bytes.',
            content: {
              [mediaTypes.note]: { schema: { type: 'string' } },
              [mediaTypes.bytes]: { schema: { type: 'string', format: 'binary' } },
            },
          },
          ...problem,
        },
      },
    },
  ],
  [
    paths.live,
    { get: { operationId: 'live', summary: 'Whether the process runs.', ...answerOf('It runs.', mediaTypes.json) } },
  ],
  [
    paths.ready,
    {
      get: {
        operationId: 'ready',
        summary: 'Whether the service takes commands, with its figures.',
        responses: { 200: { description: 'It does.' }, 503: { description: 'It does not.' } },
      },
    },
  ],
  [
    paths.metrics,
    {
      get: {
        operationId: 'metrics',
        summary: 'Metrics for Prometheus.',
        ...answerOf('The metrics.', 'text/plain', { type: 'string' }),
      },
    },
  ],
  [
    paths.openApi,
    { get: { operationId: 'openApi', summary: 'This document.', ...answerOf('The document.', mediaTypes.json) } },
  ],
]
