import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { is, match, not, ok } from 'uvu/assert'
import { root as project } from '../runner.ts'
import { stopService } from '../support/command.ts'
import { temporaryRoot } from '../support/ledger.ts'

const tutorial = suite('docs/tutorial/two-agents.md')
const page = readFileSync(join(project, 'docs/tutorial/two-agents.md'), 'utf8')
const steps = [...page.matchAll(/<!-- run by test\/docs\/two-agents\.test\.ts -->\n```sh\n([\s\S]*?)```/g)].map(
  ([, script = '']) => script,
)

tutorial('can be pasted step by step in a repository', async () => {
  is(steps.length, 7)
  const folder = temporaryRoot()
  const [bin, repository] = [join(folder, 'bin'), join(folder, 'site')]
  for (const one of [bin, repository]) mkdirSync(one)
  const main = join(project, 'dist/cli/main.js')
  ok(existsSync(main))
  writeFileSync(join(bin, 'lockstep'), `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`)
  chmodSync(join(bin, 'lockstep'), 0o755)
  writeFileSync(join(repository, 'README.md'), 'a\n')
  const script = ['set -e', 'git init --quiet', ...steps.map((step, at) => `${step}\necho "== after ${at + 1}"`)].join(
    '\n',
  )
  const { status, stderr, stdout } = spawnSync('sh', ['-c', script], {
    cwd: repository,
    encoding: 'utf8',
    env: {
      ...process.env,
      LOCKSTEP_ACTOR: undefined,
      LOCKSTEP_DIR: undefined,
      PATH: `${bin}:${process.env.PATH}`,
      XDG_CONFIG_HOME: folder,
    },
  })
  await stopService(repository)
  is(status, 0, `${stdout}${stderr}`)
  const after = stdout.split(/== after \d\n/)
  is(after[2], '', 'the first agent is not held up')
  match(after[3] ?? '', /"permissionDecision":"deny"/)
  match(after[3] ?? '', /holder \\"claude:first\\"/)
  match(after[4] ?? '', /path:README\.md +held +claude:first/)
  match(after[4] ?? '', /agent:claude:second .*call tool:Edit .*"denied: LOCK_CONTENTION"/)
  not.match(after[5] ?? '', /deny/)
  match(after[5] ?? '', /path:README\.md +held +claude:second/)
  ok(!existsSync(join(repository, '.claude/settings.local.json')))
})

tutorial.run()
