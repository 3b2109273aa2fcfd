import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { parse } from 'yaml'
import { paths } from '../../src/api/wire.ts'
import { layoutOf } from '../../src/disk/layout.ts'
import { socketToListenAt } from '../../src/disk/service-socket.ts'
import { openLedger } from '../../src/open.ts'
import { root as project } from '../runner.ts'
import { lockstep } from '../support/command.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { ask, until, withService } from '../support/service.ts'

const deploy = suite('examples/deploy')
const folder = join(project, 'examples/deploy')
const textOf = (file: string) => readFileSync(join(folder, file), 'utf8')
const main = join(process.env.LOCKSTEP_TEST_DIST ?? join(project, 'dist'), 'cli/main.js')

/** Whether a tool is there and works. */
const works = (tool: string, ...words: string[]) => spawnSync(tool, words, { stdio: 'ignore' }).status === 0
/** The title says which tool checked. */
const by = (tool: string, isThere: boolean) => (isThere ? `checked by ${tool}` : `${tool} is missing: the text alone`)

/** Runs a tool, and fails with all that it wrote. */
function succeeds(tool: string, ...words: string[]): string {
  const { status, stderr, stdout } = spawnSync(tool, words, { encoding: 'utf8' })
  is(status, 0, `${tool} ${words.join(' ')}: ${stdout}${stderr}`)
  return stdout + stderr
}

/** The settings of a unit, as `[section, name, value]`. */
function settingsIn(file: string): [string, string, string][] {
  let section = ''
  return textOf(file)
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .flatMap((line) => {
      const [, title] = /^\[(\w+)\]$/.exec(line) ?? []
      if (title !== undefined) section = title
      if (title !== undefined) return []
      const [, name = '', value = ''] = /^(\w+)=(.*)$/.exec(line) ?? []
      ok(name !== '' && section !== '', `${file}: ${line}`)
      return [[section, name, value]] satisfies [string, string, string][]
    })
}

const settingOf = (file: string, name: string) => settingsIn(file).find(([, one]) => one === name)?.[2]

const hasSystemd = works('systemd-analyze', '--version')
deploy(`has units of systemd without mistakes (${by('systemd-analyze verify', hasSystemd)})`, () => {
  is(settingOf('lockstep.service', 'Environment'), 'LOCKSTEP_DIR=/srv/fleet')
  is(settingOf('lockstep.socket', 'ListenStream'), '/srv/fleet/.lockstep/service.sock')
  is(settingOf('lockstep.socket', 'SocketMode'), '0600')
  is(settingOf('lockstep.socket', 'SocketUser'), settingOf('lockstep.service', 'User'))
  if (!hasSystemd) return
  const copies = join(temporaryRoot(), 'units')
  mkdirSync(copies)
  copyFileSync(join(folder, 'lockstep.socket'), join(copies, 'lockstep.socket'))
  // The path of the program is another one on each machine, and must exist to be verified.
  const unit = textOf('lockstep.service').replace('/usr/local/bin/lockstep', '/bin/true')
  writeFileSync(join(copies, 'lockstep.service'), unit)
  const units = ['lockstep.service', 'lockstep.socket'].map((name) => join(copies, name))
  is(succeeds('systemd-analyze', 'verify', '--man=no', ...units).trim(), '')
  // The same with the ledger in a database.
  cpSync(join(folder, 'lockstep.service.d'), join(copies, 'lockstep.service.d'), { recursive: true })
  is(succeeds('systemd-analyze', 'verify', '--man=no', ...units).trim(), '')
})

const hasActivation = works('systemd-socket-activate', '--version')
deploy(
  `starts with the first call to the socket of its unit (${hasActivation ? 'started by systemd-socket-activate' : 'systemd-socket-activate is missing: not started'})`,
  async () => {
    if (!hasActivation) return
    const dir = join(temporaryRoot(), 'r')
    mkdirSync(dir)
    await (await openLedger({ actor: testActor, create: true, dir, policy: false })).close()
    const atUnit = (settingOf('lockstep.socket', 'ListenStream') ?? '').replace('/srv/fleet', dir)
    // Commands look for the socket of a root with a long path somewhere else.
    const socket = socketToListenAt(layoutOf(dir))
    const isElsewhere = Buffer.byteLength(atUnit) > 100
    if (!isElsewhere) is(socket, atUnit)
    const [, ...words] = (settingOf('lockstep.service', 'ExecStart') ?? '').split(' ')
    const variables = ['-E', `LOCKSTEP_DIR=${dir}`, '-E', 'LOCKSTEP_LOG_LEVEL=info']
    const argv = ['-l', socket, ...variables, process.execPath, main, ...words]
    const child = spawn('systemd-socket-activate', argv, { stdio: ['ignore', 'ignore', 'pipe'] })
    let stderr = ''
    child.stderr.on('data', (chunk) => {
      stderr += chunk
    })
    const ended = once(child, 'exit')
    try {
      await until('systemd-socket-activate listens', () => /Listening on/.test(stderr) || child.exitCode !== null)
      ok(!stderr.includes('lockstep serves'), stderr)
      is((await ask(socket, paths.live)).status, 200, stderr)
      match(stderr, /^lockstep serves/m)
      is((await lockstep(['lock', 'list'], { env: { LOCKSTEP_DIR: dir } })).status, 0)
    } finally {
      child.kill('SIGTERM')
    }
    equal(await ended, [0, null], stderr)
    if (isElsewhere) rmSync(dirname(socket), { recursive: true })
    await endsWithVerify(dir)
  },
)

const parsers: Readonly<Record<string, string[]>> = {
  plutil: ['-lint'],
  python3: [
    '-c',
    'import plistlib, sys; assert plistlib.load(open(sys.argv[1], "rb"))["ProgramArguments"][1:] == ["serve"]',
  ],
}
const parser = Object.keys(parsers).find((tool) => works(tool, tool === 'plutil' ? '-help' : '--version'))
deploy(`has a property list for launchd (${by(parser ?? 'plutil', parser !== undefined)})`, () => {
  const file = 'dev.lockstep.fleet.plist'
  const text = textOf(file)
  ok(text.includes(`<string>${file.replace('.plist', '')}</string>`))
  // Every element is closed in its order.
  const open: string[] = []
  for (const [, slash, name, isEmpty] of text.replace(/<!--.*?-->/gs, '').matchAll(/<(\/?)([a-z]+)[^>]*?(\/?)>/g)) {
    if (slash === '/') is(open.pop(), name)
    else if (isEmpty !== '/') open.push(name ?? '')
  }
  equal(open, [])
  if (parser !== undefined) succeeds(parser, ...(parsers[parser] ?? []), join(folder, file))
})

const hasDocker = works('docker', 'buildx', 'version') && works('docker', 'info')
deploy(`has a Dockerfile that does not run as root (${by('docker build --check', hasDocker)})`, () => {
  const lines = textOf('Dockerfile').split('\n')
  is(lines.filter((line) => line.startsWith('FROM ')).length, 2)
  const last = lines.slice(lines.findLastIndex((line) => line.startsWith('FROM ')))
  ok(last.includes('USER node'))
  const [, check = ''] = /HEALTHCHECK .*\\\n\s+CMD (\[.*\])$/m.exec(last.join('\n')) ?? []
  const [node, ...words] = JSON.parse(check) as string[]
  is(node, 'node')
  ok(words.join(' ').includes(`path: '${paths.live}'`))
  for (const [, from = ''] of textOf('Dockerfile').matchAll(/^COPY (?!--)(.*) \S+$/gm)) {
    for (const file of from.split(' ').filter((one) => one !== '.')) {
      ok(textOf('Dockerfile.dockerignore').includes(`!${file}\n`), file)
    }
  }
  if (hasDocker) succeeds('docker', 'build', '--check', '-f', join(folder, 'Dockerfile'), project)
})

deploy('has a health check that is true of a service, and false without one', async () => {
  const [, check = ''] = /^\s+CMD (\["node".*\])$/m.exec(textOf('Dockerfile')) ?? []
  const [, ...words] = JSON.parse(check) as string[]
  const statusAt = async (socket: string) => {
    const argv = words.map((word) => word.replace('/ledger/.lockstep/service.sock', socket))
    const [status] = await once(spawn(process.execPath, argv, { stdio: 'ignore' }), 'exit')
    return status
  }
  await withService(async ({ socket = '' }) => is(await statusAt(socket), 0))
  is(await statusAt(join(temporaryRoot(), 'none')), 1)
})

interface Rules {
  groups: { rules: { alert: string; annotations: { summary: string }; expr: string; labels: { severity: string } }[] }[]
}
interface Dashboard {
  panels: { id: number; targets: { expr: string }[]; title: string }[]
  templating: { list: { query: string | { query: string } }[] }
}

const { groups } = parse(textOf('alerts.yml')) as Rules
const rules = groups.flatMap((group) => group.rules)
const dashboard = JSON.parse(textOf('dashboard.json')) as Dashboard
const dashboardQueries = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))
const variables = dashboard.templating.list.flatMap(({ query }) => {
  const [, metric] = /^label_values\((\w+), \w+\)$/.exec(typeof query === 'string' ? query : query.query) ?? []
  return metric === undefined ? [] : [metric]
})

/** The metrics that a query reads, without functions, label matchers and groupings. */
function metricsIn(query: string): string[] {
  const bare = query
    .replace(/\{[^}]*\}/g, '')
    .replace(/\[[^\]]*\]/g, '')
    .replace(/\b(?:by|without) \([^)]*\)/g, '')
  return [...bare.matchAll(/\b[a-z_][a-z0-9_]*\b(?!\s*\()/g)].map(([name]) => name).filter((name) => name !== 'sum')
}

/** The type and description of each metric that a service has now. */
async function scraped(): Promise<Map<string, { help: string; type: string }>> {
  const text = await withService(async ({ socket = '' }) => {
    await ask(socket, paths.live)
    return (await ask(socket, paths.metrics)).text
  })
  const found = new Map<string, { help: string; type: string }>()
  for (const [, name = '', help = '', type = ''] of text.matchAll(/^# HELP (\w+) (.*)\n# TYPE \1 (\w+)$/gm)) {
    found.set(name, { help, type })
  }
  return found
}

deploy('has a dashboard and alerts over metrics that the service has', async () => {
  const metrics = await scraped()
  const queries = [...rules.map(({ expr }) => expr), ...dashboardQueries]
  ok(queries.length > 20)
  for (const query of queries) {
    const names = metricsIn(query)
    ok(names.length > 0, query)
    // Prometheus itself makes `up`.
    for (const name of names.filter((one) => one !== 'up')) {
      ok(metrics.has(name), `${name} in ${query}`)
      const isRate = new RegExp(`rate\\(${name}\\b`).test(query)
      is(isRate, metrics.get(name)?.type === 'counter', `rate() is for counters, and counters are for rate(): ${query}`)
    }
  }
  for (const name of variables) ok(metrics.has(name), name)
  is(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length)
  for (const { annotations, labels } of rules) {
    ok(annotations.summary.endsWith('.'))
    ok(['critical', 'warning'].includes(labels.severity))
  }
})

deploy('has alerts and metrics that docs/how-to/monitor-it.md explains', async () => {
  const page = readFileSync(join(project, 'docs/how-to/monitor-it.md'), 'utf8')
  const explained = [...page.matchAll(/^\| `(lockstep_\w+)` \| (.*) \|$/gm)].map(([, name, help]) => [name, help])
  const metrics = [...(await scraped())].map(([name, { help }]) => [name, help])
  const ofLockstep = metrics.filter(([name = '']) => name.startsWith('lockstep_'))
  equal(explained.sort(), ofLockstep.sort(), 'the table has the descriptions of /metrics')
  const alerts = [...page.matchAll(/^\| (Lockstep\w+) \|/gm)].map(([, name]) => name)
  equal(
    alerts,
    rules.map(({ alert }) => alert),
  )
  const messages = [...page.matchAll(/^\| `([a-z ]+)` \| \d0 \|/gm)].map(([, message = '']) => message)
  const sources = ['serve', 'duties', 'node'].map((name) =>
    readFileSync(join(project, `src/service/${name}.ts`), 'utf8'),
  )
  const calls = sources.join('').matchAll(/\blog\.\w+\((?:\{[^}]*\}|\w+), '([^']+)'\)/g)
  const logged = [...calls].map(([, message = '']) => message)
  equal(messages.sort(), logged.sort())
})

deploy.run()
