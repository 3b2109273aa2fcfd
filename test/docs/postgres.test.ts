import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { is, match, not } from 'uvu/assert'
import { root as project } from '../runner.ts'
import { lockstep } from '../support/command.ts'
import { temporaryRoot } from '../support/ledger.ts'
import { postgresMissing, startPostgres } from '../support/postgres.ts'

const guide = suite('docs/how-to/run-on-postgres.md')
const page = readFileSync(join(project, 'docs/how-to/run-on-postgres.md'), 'utf8')
const scripts = [...page.matchAll(/<!-- run by test\/docs\/postgres\.test\.ts -->\n```sh\n([\s\S]*?)```/g)].map(
  ([, script = '']) => script,
)
const main = join(process.env.LOCKSTEP_TEST_DIST ?? join(project, 'dist'), 'cli/main.js')

if (postgresMissing !== undefined) console.log(postgresMissing)
else {
  guide('has commands that lead from an empty server to a ledger', async () => {
    is(scripts.length, 3)
    const server = await startPostgres()
    try {
      const home = temporaryRoot()
      mkdirSync(join(home, 'work/fleet'), { recursive: true })
      is((await lockstep(['--dir', join(home, 'work/older'), 'init', join(home, 'work/older')])).status, 0)
      writeFileSync(join(home, '.pg_service.conf'), servicesOn(server.url('postgres')), { mode: 0o600 })
      const script = `set -e\nlockstep() { '${process.execPath}' '${main}' "$@"; }\n${scripts.join('\n')}`
      const { status, stderr, stdout } = spawnSync('sh', ['-c', script], {
        encoding: 'utf8',
        env: { ...process.env, HOME: home, LOCKSTEP_DIR: undefined, XDG_CONFIG_HOME: join(home, 'config') },
      })
      is(status, 0, stdout + stderr)
      match(stdout, /the schema has version \d+ now/)
      match(stdout, /entries of lockstep\.local\/\w+ were moved to postgresql:\w+, and verified/)
      match(stdout, /synchronous_commit on, fsync on/)
      not.match(stdout, /warning|secret/)
      match(stdout, /ledger\.sealed/)
    } finally {
      await server.close()
    }
  })
}

guide.run()

/** The services of the page, on a test's server, and that of its superuser. */
function servicesOn(superuser: string): string {
  const { hostname, password, port } = new URL(superuser)
  const [, ini = ''] = /```ini\n([\s\S]*?)```/.exec(page) ?? []
  const admin = `[ledgers-admin]\nhost=${hostname}\nport=${port}\ndbname=postgres\nuser=postgres\npassword=${password}\n`
  return `${ini.replaceAll('host=db.example', `host=${hostname}\nport=${port}`)}\n${admin}`
}
