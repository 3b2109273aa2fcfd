import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { type HarnessName, harnessNames } from '../../src/hooks/forms.ts'
import { lockstep } from '../support/command.ts'
import { temporaryRoot } from '../support/ledger.ts'
import { hookDocument } from './hook-documents.ts'
import { reasonIn, withHooks } from './hooked.ts'
import { run } from './script.ts'

const files: Record<HarnessName, string> = {
  claude: '.claude/settings.local.json',
  codex: '.codex/hooks.json',
  cursor: '.cursor/hooks.json',
  gemini: '.gemini/settings.json',
}

/** The settings that a user has already, with hooks of their own. */
const before: Record<HarnessName, object> = {
  claude: {
    permissions: { allow: ['Bash(npm test)'] },
    hooks: { PreToolUse: [{ matcher: 'Bash', hooks: [{ type: 'command', command: 'mine' }] }], Stop: [] },
  },
  codex: { hooks: { PreToolUse: [{ matcher: 'Bash', hooks: [{ type: 'command', command: 'mine' }] }] } },
  cursor: { version: 1, hooks: { preToolUse: [{ command: 'mine' }], stop: [{ command: 'mine' }] } },
  gemini: { theme: 'dark', hooks: { BeforeTool: [{ hooks: [{ type: 'command', command: 'mine' }] }] } },
}

const read = (file: string) => JSON.parse(readFileSync(file, 'utf8')) as Record<string, Record<string, unknown[]>>

/** All commands in settings. */
function commandsIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  const { command } = value as { command?: unknown }
  return [...(typeof command === 'string' ? [command] : []), ...Object.values(value).flatMap(commandsIn)]
}

const install = suite('the install of hooks')

for (const harness of harnessNames) {
  const change = (cwd: string, ...words: string[]) => lockstep(['hook', harness, ...words], { cwd })

  install(`for ${harness} adds them to what is there, once, and takes them out again`, async () => {
    const dir = temporaryRoot()
    mkdirSync(join(dir, '.git'))
    mkdirSync(join(dir, 'src'))
    const file = join(dir, files[harness])
    mkdirSync(dirname(file))
    const text = `${JSON.stringify(before[harness], null, '\t')}\n\n`
    writeFileSync(file, text)
    const { json, stderr } = await change(join(dir, 'src'), '--install')
    equal(json, { backup: `${file}.before-lockstep`, file, is_changed: true }, stderr)
    const installed = readFileSync(file, 'utf8')
    const commands = commandsIn(read(file))
    ok(commands.includes('mine'))
    ok(commands.filter((command) => command.includes("hook.sh'")).length >= 4)
    ok(commands.every((command) => command === 'mine' || / enforce \w+ '\//.test(command)))
    is((await change(dir, '--install')).json.is_changed, false)
    is(readFileSync(file, 'utf8'), installed)
    is((await change(dir, '--install', '--warn')).json.is_changed, true)
    is(commandsIn(read(file)).length, commands.length)
    ok(commandsIn(read(file)).every((command) => !command.includes(' enforce ')))
    is(readFileSync(`${file}.before-lockstep`, 'utf8'), text)
    is((await change(dir, '--uninstall')).json.is_changed, true)
    is(readFileSync(file, 'utf8'), text)
    ok(!existsSync(`${file}.before-lockstep`))
    is((await change(dir, '--uninstall')).json.is_changed, false)
  })

  install(`for ${harness} keeps what the user changed meanwhile, and leaves no file that was not there`, async () => {
    const dir = temporaryRoot()
    const file = join(dir, files[harness])
    is((await change(dir, '--install')).json.backup, null)
    const settings = read(file)
    writeFileSync(file, JSON.stringify({ ...settings, later: true }))
    await change(dir, '--uninstall')
    equal(Object.keys(read(file)), harness === 'cursor' ? ['version', 'later'] : ['later'])
    writeFileSync(file, JSON.stringify(harness === 'cursor' ? { version: 1 } : {}))
    await change(dir, '--install')
    await change(dir, '--uninstall')
    ok(existsSync(file))
    const fresh = temporaryRoot()
    await change(fresh, '--install')
    await change(fresh, '--uninstall')
    ok(!existsSync(join(fresh, files[harness])))
  })
}

install('for the user is in the folder that the harness is told to use, also through a link', async () => {
  const [dir, home, kept] = [temporaryRoot(), temporaryRoot(), temporaryRoot()]
  writeFileSync(join(kept, 'settings.json'), '{}\n')
  symlinkSync(join(kept, 'settings.json'), join(home, 'settings.json'))
  const env = { CLAUDE_CONFIG_DIR: home }
  const { json } = await lockstep(['hook', 'claude', '--install', '--user'], { cwd: dir, env })
  is(json.file, join(kept, 'settings.json'))
  ok(commandsIn(read(join(home, 'settings.json'))).length > 4)
  const hooks = read(join(kept, 'settings.json')).hooks as Record<string, { hooks: { onFailure?: string }[] }[]>
  is(hooks.PreToolUse?.[0]?.hooks[0]?.onFailure, 'block')
  is(hooks.PostToolUse?.[0]?.hooks[0]?.onFailure, undefined)
})

install('refuses settings that it cannot read, and options that exclude each other', async () => {
  const dir = temporaryRoot()
  mkdirSync(join(dir, '.claude'))
  for (const text of ['{', '[]', '{"a":1,"a":2}']) {
    writeFileSync(join(dir, files.claude), text)
    const { json, status } = await lockstep(['hook', 'claude', '--install'], { cwd: dir })
    is(status, 2)
    is(json.code, 'INVALID_INPUT')
    is(readFileSync(join(dir, files.claude), 'utf8'), text)
  }
  const { json } = await lockstep(['hook', 'claude', '--install', '--uninstall'], { cwd: dir })
  match(String(json.message), /exclude each other/)
})

install('makes hooks that guard, as their harness calls them, and the doctor tries them', () =>
  withHooks(async ({ dir, ledger }) => {
    const actor = { actor_id: 'x', actor_type: 'agent' } as const
    for (const harness of harnessNames) await lockstep(['hook', harness, '--install'], { cwd: dir })
    await ledger.locks.acquire({ actor, holder: 'x', paths: ['src/a.js'] })
    const [command = ''] = commandsIn(read(join(dir, files.claude)).hooks?.PreToolUse)
    const { stdout } = await run(command, JSON.stringify(hookDocument('claude', 'before-edit', dir)), { cwd: dir })
    match(reasonIn(JSON.parse(stdout)), /holder "x"/)
    const finding = async () => {
      const { json } = await lockstep(['doctor'], { cwd: dir })
      const details = (json.details ?? json) as { findings: { check: string; finding: string; outcome: string }[] }
      return details.findings.find(({ check }) => check === 'hooks')
    }
    const good = await finding()
    is(good?.outcome, 'ok', good?.finding)
    for (const title of ['Claude Code', 'Codex', 'Cursor', 'Gemini CLI'])
      match(good?.finding ?? '', new RegExp(`${title} in .*enforce`))
    const broken = readFileSync(join(dir, files.cursor), 'utf8').replaceAll(
      /hook\.sh' cursor enforce preToolUse/g,
      "gone/hook.sh' cursor enforce preToolUse",
    )
    writeFileSync(join(dir, files.cursor), broken)
    is((await finding())?.outcome, 'fail')
  }),
)

install.run()
