import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { lockstep } from '../support/command.ts'
import { endsWithVerify, temporaryRoot } from '../support/ledger.ts'

const paths = suite('lockstep lock --path')

/** Git with an identity; its exit code and what it wrote to stderr. */
function git(folder: string, words: string[], env: NodeJS.ProcessEnv = {}): { status: number; stderr: string } {
  const identity = ['-c', 'user.name=a', '-c', 'user.email=a@b.example']
  try {
    execFileSync('git', [...identity, '-C', folder, ...words], { env: { ...process.env, ...env }, stdio: 'pipe' })
    return { status: 0, stderr: '' }
  } catch (error) {
    const { status, stderr } = error as { status: number; stderr: Buffer }
    return { status, stderr: String(stderr) }
  }
}

/** A repository with a ledger, and two further worktrees beside it. */
async function repository(): Promise<{ root: string; tops: [string, string] }> {
  const root = realpathSync(temporaryRoot())
  mkdirSync(join(root, 'src'))
  for (const file of ['src/a.js', 'src/b.js']) writeFileSync(join(root, file), '1\n')
  git(root, ['init', '-q'])
  git(root, ['add', 'src'])
  git(root, ['commit', '-qm', 'one'])
  const { json } = await lockstep(['init', root, '--git-exclude'])
  equal(json.gitignore_added, ['.lockstep/', '.lock'])
  is(execFileSync('git', ['-C', root, 'status', '--porcelain'], { encoding: 'utf8' }), '')
  const beside = realpathSync(temporaryRoot())
  const tops: [string, string] = [join(beside, 'two'), join(beside, 'three')]
  for (const top of tops) git(root, ['worktree', 'add', '-q', top])
  return { root, tops }
}

const acquire = (actor: string, cwd: string, ...words: string[]) =>
  lockstep(['--actor', actor, 'lock', 'acquire', ...words], { cwd })

paths('one ledger serves three worktrees: one file has one holder, and its worktree is named', async () => {
  const { root, tops } = await repository()
  const all = [root, ...tops]
  const words = ['--path', 'a.js', '--reason', 'fix']
  const answers = await Promise.all(all.map((top, index) => acquire(`agent-${index}`, join(top, 'src'), ...words)))
  const granted = answers.findIndex(({ status }) => status === 0)
  equal(answers.map(({ status }) => status).sort(), [0, 75, 75])
  for (const { json, status } of answers) {
    is(json.name, 'path:src/a.js')
    if (status === 75) equal([json.worktree, json.reason], [all[granted], 'fix'])
  }
  const listed = await lockstep(['lock', 'list', '--path', 'src/'], { cwd: tops[0] })
  equal(
    (listed.json.locks as { holder: string }[]).map(({ holder }) => holder),
    [`agent-${granted}`],
  )
  await endsWithVerify(root)
})

paths('lock run holds paths for a command, and rebuilt rows are the same', async () => {
  const { root } = await repository()
  const script = 'echo "$LOCKSTEP_LOCK_NAME"; exit 3'
  const run = await lockstep(['lock', 'run', '--path', 'src/', '--path', 'lib/', '--', 'sh', '-c', script], {
    cwd: root,
  })
  equal([run.status, run.stdout], [3, 'path:lib/\n'])
  await acquire('agent-1', root, '--path', 'src/a.js', '--shared')
  await acquire('agent-2', root, '--path', 'src/', '--shared')
  const { json, status } = await lockstep(['verify', '--rebuild'], { cwd: root })
  is(status, 0)
  is((json.rebuilt as { replaced_rows: number }).replaced_rows, 0)
  is((await acquire('agent-3', root, '--path', 'src/b.js')).json.held_name, 'path:src/')
  const history = await lockstep(['lock', 'history', 'path:src/'], { cwd: root })
  equal(
    (history.json.entries as { type: string }[]).map(({ type }) => type),
    ['lock.acquired', 'lock.released', 'lock.acquired'],
  )
  await endsWithVerify(root)
})

paths('check-edits compares what is changed with who holds it', async () => {
  const { root, tops } = await repository()
  const [top] = tops
  await acquire('agent-1', root, '--path', 'src/a.js', '--reason', 'fix')
  writeFileSync(join(top, 'src/a.js'), '2\n')
  writeFileSync(join(top, 'src/c.js'), '2\n')
  const check = (actor: string, ...words: string[]) =>
    lockstep(['--actor', actor, 'lock', 'check-edits', ...words], { cwd: join(top, 'src') })
  const { json, status } = await check('agent-2')
  is(status, 75)
  const [held, ...others] = json.held as { file: string; lock: { holder: string; reason: string } }[]
  equal([others.length, held?.file, held?.lock.holder, held?.lock.reason], [0, 'src/a.js', 'agent-1', 'fix'])
  equal([json.checked, json.free, json.own], [2, 1, 0])
  equal([(await check('agent-1')).status, (await check('agent-2', '--staged')).status], [0, 0])
  git(top, ['mv', '-f', 'src/a.js', 'src/moved.js'])
  const staged = await check('agent-2', '--staged')
  equal([staged.status, staged.json.checked], [75, 2])
  await endsWithVerify(root)
})

paths('the guard refuses a commit of what another holds, and no other', async () => {
  const { root, tops } = await repository()
  const [top] = tops
  const hook = join(root, '.git/hooks/pre-commit')
  writeFileSync(hook, '#!/bin/sh\necho ran >> "$(git rev-parse --git-common-dir)/ran"\n')
  chmodSync(hook, 0o755)
  const before = readFileSync(hook, 'utf8')
  for (let round = 0; round < 2; round += 1) {
    const { json } = await lockstep(['hook', 'git', '--install'], { cwd: top })
    equal([json.hook, json.is_installed, json.kept], [hook, true, `${hook}.before-lockstep`])
  }
  await acquire('agent-1', root, '--path', 'src/a.js')
  writeFileSync(join(top, 'src/a.js'), '2\n')
  const refused = git(top, ['commit', '-qam', 'two'], { LOCKSTEP_ACTOR: 'agent-2' })
  is(refused.status, 1)
  match(refused.stderr, /src\/a\.js is held by agent-1/)
  is(readFileSync(join(root, '.git/ran'), 'utf8'), 'ran\n')
  is(git(top, ['commit', '-qam', 'two'], { LOCKSTEP_ACTOR: 'agent-1' }).status, 0)
  writeFileSync(join(top, 'src/b.js'), '2\n')
  is(git(top, ['commit', '-qam', 'three'], { LOCKSTEP_ACTOR: 'agent-2' }).status, 0)
  const { json } = await lockstep(['hook', 'git', '--uninstall'], { cwd: root })
  equal([json.is_installed, readFileSync(hook, 'utf8')], [false, before])
  ok(!existsSync(`${hook}.before-lockstep`))
  await endsWithVerify(root)
})

paths(
  'the guard is installed where the repository has its hooks, and lets a folder without a ledger commit',
  async () => {
    const root = realpathSync(temporaryRoot())
    git(root, ['init', '-q'])
    git(root, ['config', 'core.hooksPath', 'own hooks'])
    const { json } = await lockstep(['hook', 'git', '--install'], { cwd: root })
    is(json.hook, join(root, 'own hooks/pre-commit'))
    writeFileSync(join(root, 'a'), '')
    git(root, ['add', 'a'])
    is(git(root, ['commit', '-qm', 'one']).status, 0)
    await lockstep(['hook', 'git', '--uninstall'], { cwd: root })
    ok(!existsSync(join(root, 'own hooks/pre-commit')))
  },
)

paths('acquires several paths at once, each from the folder in which it was written', async () => {
  const root = temporaryRoot()
  is((await lockstep(['init', root])).status, 0)
  const folder = join(root, 'packages')
  mkdirSync(join(folder, 'src'), { recursive: true })
  const inFolder = (...words: string[]) => lockstep(words, { cwd: folder })
  const held = await inFolder('lock', 'acquire', '--path', 'src', '--path', '../package.json', '--holder', 'agent-1')
  equal([held.status, held.json.paths], [0, ['package.json', 'packages/src/']], held.stdout)
  const below = await inFolder('lock', 'acquire', '--path', 'src/new.ts', '--path', 'other.ts', '--holder', 'agent-2')
  equal([below.status, below.json.code, below.json.holder], [75, 'LOCK_CONTENTION', 'agent-1'], below.stdout)
  const beside = await inFolder('lock', 'acquire', '--path', 'other.ts', '--holder', 'agent-2')
  equal([beside.status, beside.json.paths], [0, ['packages/other.ts']], beside.stdout)
  const glob = await inFolder('lock', 'acquire', '--path', 'src/**/*.ts', '--holder', 'agent-2')
  equal([glob.status, glob.json.code], [2, 'INVALID_INPUT'], glob.stdout)
  const run = await inFolder('lock', 'run', '--path', 'src', '--holder', 'agent-2', '--', 'true')
  is(run.status, 75, run.stdout)
  await endsWithVerify(root)
})

paths.run()
