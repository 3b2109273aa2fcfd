import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { root as project } from '../runner.ts'
import { temporaryRoot } from '../support/ledger.ts'

const tutorial = suite('docs/tutorial/first-lock.md')
const page = readFileSync(join(project, 'docs/tutorial/first-lock.md'), 'utf8')

/** A block of shell lines that the reader types, and how it ends. */
interface Step {
  exit: number
  isInBackground: boolean
  script: string
}

const steps: Step[] = [
  ...page.matchAll(/<!-- run by test\/docs\/tutorial\.test\.ts([^>]*) -->\n```sh\n([\s\S]*?)```/g),
].map(([, how = '', script = '']) => ({
  exit: Number(/exit (\d+)/.exec(how)?.[1] ?? 0),
  isInBackground: how.includes('in the background'),
  script,
}))

tutorial('can be typed line by line in a repository', async () => {
  equal(
    steps.map(({ exit, isInBackground }) => (isInBackground ? 'background' : exit)),
    [0, 0, 'background', 75, 0, 5, 0],
  )
  const folder = temporaryRoot()
  const env = environmentWith(join(folder, 'bin'))
  const repository = join(folder, 'site')
  mkdirSync(repository)
  const options = { cwd: repository, encoding: 'utf8', env } as const
  let holder: ChildProcess | undefined
  for (const { exit, isInBackground, script } of steps) {
    if (isInBackground) {
      holder = spawn('sh', ['-c', `exec ${script}`], { ...options, stdio: 'ignore' })
      const status = () => spawnSync('sh', ['-c', 'lockstep lock status notes --json'], options).stdout
      while (!status().includes('"held"')) is(holder.exitCode, null)
      continue
    }
    const { status, stderr, stdout } = spawnSync('sh', ['-c', script], options)
    is(status, exit, `${script}${stdout}${stderr}`)
    if (exit === 75) await end(holder)
  }
  equal(readFileSync(join(repository, 'notes.txt'), 'utf8'), 'one line\na guarded line\n')
  equal(readFileSync(join(repository, '.gitignore'), 'utf8'), '.lockstep/\n.lock\n')
  match(readFileSync(join(repository, 'checkpoint.txt'), 'utf8'), /^— lockstep\.local/m)
  rmSync(folder, { recursive: true })
})

/** An environment in which `lockstep` is the built command. */
function environmentWith(bin: string): NodeJS.ProcessEnv {
  const main = join(project, 'dist/cli/main.js')
  ok(existsSync(main))
  mkdirSync(bin)
  writeFileSync(join(bin, 'lockstep'), `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`)
  chmodSync(join(bin, 'lockstep'), 0o755)
  return { ...process.env, PATH: `${bin}:${process.env.PATH}`, XDG_CONFIG_HOME: join(bin, 'config') }
}

async function end(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  await exited
}

tutorial.run()
