import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path/posix'

/** Text by path: what the checks run on, so that they run on made-up sources too. */
export type Sources = ReadonlyMap<string, string>

/** The TypeScript files below a folder, by their path from it; empty where the folder is missing. */
export function readSources(dir: string): Sources {
  return new Map(
    readNames(dir)
      .filter(isTypeScript)
      .map((path) => [path, readFileSync(join(dir, path), 'utf8')]),
  )
}

/** All files and folders below a folder, by their path from it; empty where the folder is missing. */
export function readNames(dir: string): string[] {
  try {
    return readdirSync(dir, { recursive: true, encoding: 'utf8' }).sort()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
}

const isTypeScript = (path: string) => path.endsWith('.ts')
const shared = ['node:', 'zod']

/** A room imports from lower rungs and from itself, and these packages only. Rooms of one rung do not know each other. */
const ladder: Record<string, { rung: number; packages: string[] }> = {
  'errors.ts': { rung: 0, packages: [] },
  kernel: { rung: 1, packages: ['zod'] },
  domain: { rung: 2, packages: ['zod'] },
  merkle: { rung: 2, packages: [] },
  // What `lockstep/verify` is made of. It runs in browsers, so it knows `merkle` alone.
  proof: { rung: 3, packages: [] },
  // What callers can ask for; the client and the command import it without the rest.
  api: { rung: 3, packages: ['zod'] },
  // The file system and the machine, for every room above.
  disk: { rung: 3, packages: shared },
  log: { rung: 4, packages: [...shared, 'level', 'classic-level', 'msgpackr', 'pg'] },
  views: { rung: 5, packages: shared },
  writer: { rung: 6, packages: [...shared, 'nanoid'] },
  files: { rung: 7, packages: [...shared, 'nanoid', 'yaml'] },
  // Witnesses and what they cosigned: this ledger's own, and those that it asks.
  witness: { rung: 7.5, packages: ['node:'] },
  nouns: { rung: 8, packages: [...shared, 'nanoid'] },
  verify: { rung: 9, packages: [...shared, 'nanoid'] },
  // Backups, restores and salvage, copied roots: what is done with a whole ledger.
  backup: { rung: 9.5, packages: [...shared, 'nanoid'] },
  // Puts all rooms below together.
  'ledger.ts': { rung: 10, packages: [...shared, 'nanoid'] },
  'open.ts': { rung: 11, packages: [...shared, 'nanoid'] },
  // The same for a ledger that several nodes share.
  'shared.ts': { rung: 11.5, packages: [] },
  // What a holder does with a grant, on the caller's side: the same for every implementation.
  'lease.ts': { rung: 4, packages: shared },
  // What the hooks of coding agents ask, and how each harness is answered.
  hooks: { rung: 11.5, packages: shared },
  // A service in another process, called over HTTP.
  client: { rung: 4, packages: ['node:', 'undici'] },
  'client.ts': { rung: 5, packages: ['node:'] },
  // The tools of agents over MCP: on stdio in a process of their own, and on the service.
  mcp: { rung: 11, packages: [...shared, 'nanoid', '@modelcontextprotocol/server'] },
  supervise: { rung: 12, packages: [...shared, 'nanoid'] },
  service: {
    rung: 12,
    packages: [
      ...shared,
      'nanoid',
      'hono',
      '@hono/node-server',
      '@modelcontextprotocol/server',
      'pino',
      'prom-client',
      '@opentelemetry/api',
    ],
  },
  cli: { rung: 13, packages: [...shared, 'nanoid', 'commander', 'picocolors', 'cli-table3', 'cli-progress'] },
}

/** The folders of `domain`, each with the other folders that it may import from. Files beside them import any of them. */
const nouns: Record<string, string[]> = {
  log: [],
  lock: [],
  approval: ['lock'],
  policy: ['approval'],
  run: ['policy', 'lock', 'approval'],
  turn: ['policy', 'lock', 'run'],
  audit: ['policy', 'lock', 'run'],
  token: [],
  erasure: ['log', 'approval', 'audit'],
  export: ['policy', 'lock', 'run', 'approval', 'audit'],
}

/**
 * The folders of `log`: one for each engine, and `keyed`, which the engines share. Everything else speaks to the port
 * (`log/log.ts`), except the files listed here: the one place that chooses an engine, the checks of files, the repair,
 * and whatever watches LevelDB's owner or head file.
 */
const engines: Record<string, { mayImport: string[]; importedBy: RegExp }> = {
  keyed: { mayImport: [], importedBy: /^(?:log\/engines\.ts$|backup\/|verify\/|open\.ts$)/ },
  level: {
    mayImport: ['keyed'],
    importedBy: /^(?:log\/engines\.ts|backup\/|verify\/|cli\/(?:doctor|repair)\.ts|supervise\/watches\.ts)/,
  },
  memory: { mayImport: ['keyed'], importedBy: /^log\/engines\.ts$/ },
  postgres: {
    mayImport: ['keyed'],
    importedBy: /^(?:log\/engines\.ts|backup\/move-to-database\.ts|cli\/(?:doctor-engine|engine)\.ts)$/,
  },
}

/** Imports against the ladder that are still to be removed. */
const tolerated = new Set(['writer/core.ts must not import ../files/workspace/workspace-files.ts'])

/** The package's entries, above the ladder: these import anything, and nothing imports them. */
const barrels = ['index.ts', 'contract.ts']

/** Imports of one file of `src/` that its place on the ladder does not allow. */
export function importViolations(path: string, source: string): string[] {
  const place = placeOf(path)
  if (!barrels.includes(path) && path !== 'verify.ts' && ladder[place] === undefined) {
    return [`${path} is on no rung of the ladder`]
  }
  const specifiers = importsIn(source)
  const violations = specifiers.filter((to) => !(isRelative(to) ? mayImportFile : mayImportPackage)(path, to))
  if (/\bimport\(\s*(?!['"])/.test(withoutComments(source))) violations.push('a computed import()')
  return violations.map((to) => `${path} must not import ${to}`).filter((violation) => !tolerated.has(violation))
}

function mayImportFile(path: string, specifier: string): boolean {
  const target = resolveImport(path, specifier)
  if (target === 'cli/facts.json') return path === 'cli/facts.ts'
  if (!isTypeScript(target) || target.startsWith('..')) return false
  if (barrels.includes(path)) return true
  const [from, to] = [placeOf(path), placeOf(target)]
  if (path === 'verify.ts') return to === 'proof'
  if (from === 'proof') return to === 'proof' || to === 'merkle'
  if (to === 'log' && !mayImportEngine(path, target)) return false
  if (from === to) return from !== 'domain' || mayImportNoun(path, target)
  return (ladder[to]?.rung ?? Number.POSITIVE_INFINITY) < (ladder[from]?.rung ?? 0)
}

/** Nouns know each other in one direction only, and never the table that puts them together. */
function mayImportNoun(path: string, target: string): boolean {
  const [from, to] = [folderOf(path), folderOf(target)]
  return from === undefined || from === to || (nouns[from]?.includes(to ?? '') ?? false)
}

/** An engine is known to itself, to the engines built on it, and to few files outside. */
function mayImportEngine(path: string, target: string): boolean {
  const to = engines[folderOf(target) ?? '']
  if (to === undefined) return true
  const from = placeOf(path) === 'log' ? folderOf(path) : undefined
  if (from !== undefined)
    return from === folderOf(target) || (engines[from]?.mayImport.includes(folderOf(target) ?? '') ?? false)
  return to.importedBy.test(path)
}

/** The folder below a room that a path is in; undefined for a file of the room itself. */
function folderOf(path: string): string | undefined {
  const [, folder, file] = path.split('/')
  return file === undefined ? undefined : folder
}

function mayImportPackage(path: string, specifier: string): boolean {
  if (barrels.includes(path)) return true
  const [scopeOrName = '', name] = specifier.split('/')
  const wanted = specifier.startsWith('node:')
    ? 'node:'
    : specifier.startsWith('@')
      ? `${scopeOrName}/${name}`
      : scopeOrName
  return ladder[placeOf(path)]?.packages.includes(wanted) ?? false
}

/** The folder of the ladder that a path is in, or a file's own name. */
const placeOf = (path: string) => path.split('/')[0] ?? ''

const isRelative = (specifier: string) => specifier.startsWith('.')
const resolveImport = (path: string, specifier: string) => normalize(join(dirname(path), specifier))

const importPattern =
  /^\s*(?:import|export)\b(?:[^'"`;]*?\bfrom\b)?\s*['"]([^'"]+)['"]|\b(?:import|require)\(\s*['"]([^'"]+)['"]/gm

/** What a source imports or re-exports: statically, for its types only, by `import()` or by `require()`. */
export function importsIn(source: string): string[] {
  return [...withoutComments(source).matchAll(importPattern)].map(([, from, call]) => from ?? call ?? '')
}

/** One import cycle for each file that closes one, types included. */
export function importCycles(sources: Sources): string[] {
  const cycles: string[] = []
  const done = new Set<string>()
  const visit = (path: string, trail: string[]) => {
    if (trail.includes(path)) cycles.push([...trail.slice(trail.indexOf(path)), path].join(' -> '))
    if (trail.includes(path) || done.has(path)) return
    for (const to of importsIn(sources.get(path) ?? '').filter(isRelative)) {
      visit(resolveImport(path, to), [...trail, path])
    }
    done.add(path)
  }
  for (const path of sources.keys()) visit(path, [])
  return cycles
}

/** The most lines of a file of `src/` and of a file of `test/`, whose cases stand side by side. */
const linesMax = { src: 250, test: 400 }

/** Files that are longer than anyone reads in one go. */
export function tooLong(path: string, source: string, tree: 'src' | 'test' = 'src'): string[] {
  const lines = source.trimEnd().split('\n').length
  return lines > linesMax[tree] ? [`${path} has ${lines} lines, of at most ${linesMax[tree]}`] : []
}

/** What no source may contain; `where` and `except` are patterns of the path. */
const banned: {
  what: string
  pattern: RegExp
  read: (source: string) => string
  where?: RegExp
  except?: RegExp
}[] = [
  { what: 'Math.random', pattern: /\bMath\.random\b/, read: codeOf },
  {
    what: 'the clock',
    pattern: /\bDate\.now\b|\bperformance\.now\b|\bnew Date\b(?!\s*\(\s*[^)\s])/,
    read: codeOf,
    where: /^(?:kernel|domain|merkle)\//,
  },
  {
    // A name has one home. A file that only passes names on hides who knows whom.
    what: 'a re-export',
    pattern: /^export (?:type )?(?:\{[^}]*\}|\*) from\b/m,
    read: codeOf,
    where: /^(?:kernel|domain)\//,
  },
  { what: 'console', pattern: /\bconsole\./, read: codeOf, except: /^cli\// },
  { what: 'process.exit()', pattern: /\bprocess\.exit\(/, read: codeOf, except: /^cli\// },
  { what: 'the type any', pattern: /(?::|\bas)\s*any\b/, read: codeOf },
  { what: 'an enum', pattern: /^\s*(?:export |declare |const )*enum \w/m, read: codeOf },
  {
    what: 'a namespace',
    pattern: /^\s*(?:export |declare )*(?:namespace|module) [\w.]+\s*\{/m,
    read: codeOf,
  },
  { what: '@ts-ignore', pattern: /@ts-(?:ignore|nocheck)\b/, read: (source) => source },
  {
    // A tree head is signed only after the proof that it continues the last one (ADR 0063).
    what: 'the call that signs a checkpoint',
    pattern: /\bsignCheckpoint\(/,
    read: codeOf,
    except: /^(?:log\/heads|merkle\/checkpoint)\.ts$/,
  },
  {
    // Whoever opens LevelDB's LOCK file takes the lock from the process that has it (design.md, section 6).
    what: "the name of LevelDB's LOCK file",
    pattern: /(?<![\w.-])LOCK(?=['"`])/,
    read: withoutComments,
    except: /^log\/level\/files\.ts$/,
  },
]

/** Banned calls, types and names in one file of `src/`. */
export function bannedIn(path: string, source: string): string[] {
  return banned
    .filter(({ where, except }) => (where?.test(path) ?? true) && !except?.test(path))
    .filter(({ pattern, read }) => pattern.test(read(source)))
    .map(({ what }) => `${path} must not contain ${what}`)
}

/** What would let a test file pass without running all its tests, or wait by the clock. */
export function untidyTest(path: string, source: string): string[] {
  const code = codeOf(source)
  const violations: string[] = []
  if (/\.only\(/.test(code)) violations.push('leaves .only behind')
  if (/\.skip\(/.test(code)) violations.push('leaves .skip behind')
  if (/\bsleep\(/.test(code)) violations.push('sleeps; wait for a condition instead')
  if (!path.endsWith('.test.ts')) return violations.map((violation) => `${path} ${violation}`)

  const suites = [...code.matchAll(/\bconst (\w+) = suite\b/g)].map(([, name = '']) => name)
  if (/^import \{[^}]*\btest\b[^}]*\} from 'uvu'/m.test(withoutComments(source))) suites.push('test')
  if (suites.length === 0) violations.push('has no suite of uvu')
  for (const suite of suites) {
    const calls = [...code.matchAll(new RegExp(`(?<![\\w.$])${suite}((?:\\.\\w+)*)\\(`, 'g'))]
    if (calls.at(-1)?.[1] !== '.run') violations.push(`needs ${suite}.run() after the last ${suite}(…)`)
  }
  return violations.map((violation) => `${path} ${violation}`)
}

/** Names of files and folders that are not kebab-case, or say a kind where they should say the thing. */
export function badNames(paths: string[]): string[] {
  const kebab = /^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z0-9]+)*$/
  const kind = /(?:^|-)(?:utils?|helpers?|common|managers?)(?:\.|$)/
  return paths.filter((path) => path.split('/').some((name) => !kebab.test(name) || kind.test(name)))
}

const token = new RegExp(
  [
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*/, // comments
    /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/, // strings
    /`(?:\\[\s\S]|[^`\\])*`/, // templates
    /(?<=(?:[=(,:!&|?{;[>]|\breturn)\s*)\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*/, // regular expressions
  ]
    .map((part) => part.source)
    .join('|'),
  'g',
)

/** The source with its comments blanked. */
export function withoutComments(source: string): string {
  return source.replace(token, (text) => (/^\/[*/]/.test(text) ? ' ' : text))
}

/** The source with comments, strings and regular expressions blanked. Templates stay: they can hold code. */
export function codeOf(source: string): string {
  return source.replace(token, (text) => (/^\/[*/]/.test(text) ? ' ' : text.startsWith('`') ? text : "''"))
}
