// limit: 180
import { readFileSync } from 'node:fs'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { layoutOf } from '../../src/disk/layout.ts'
import { lockstep } from '../support/command.ts'
import { temporaryRoot } from '../support/ledger.ts'
import { postgresMissing, startPostgres } from '../support/postgres.ts'

const engine = suite('lockstep engine')

engine('show names LevelDB for a ledger in files', async () => {
  const dir = temporaryRoot()
  is((await lockstep(['--dir', dir, 'init', '--no-operator-token'])).status, 0)
  equal((await lockstep(['--dir', dir, 'engine', 'show'])).json, { engine: 'leveldb' })
})

engine('init asks for a database, and quotes none that is wrong', async () => {
  const dir = temporaryRoot()
  is((await lockstep(['--dir', dir, 'engine', 'init'])).status, 2)
  const { status, stdout } = await lockstep(['--dir', dir, 'engine', 'init', '--engine', 'mysql://secret@host/db'])
  is(status, 2)
  ok(!stdout.includes('secret'), stdout)
})

if (postgresMissing !== undefined) console.log(postgresMissing)
else {
  const server = await startPostgres()
  engine('init prepares a database, in which init makes a ledger that every command uses', async () => {
    const [dir, url] = [temporaryRoot(), await server.database()]
    const words = ['--dir', dir, 'engine']
    const made = await lockstep([...words, 'init', '--engine', url])
    equal([made.status, made.json.from, made.json.to], [0, 0, 1], made.stdout)
    const again = await lockstep([...words, 'upgrade', '--engine', url])
    equal([again.status, again.json.from], [0, 1], again.stdout)
    is((await lockstep(['--dir', dir, 'init', '--engine', url, '--no-operator-token'])).status, 0)
    ok(readFileSync(layoutOf(dir).engine, 'utf8').includes(url))
    const shown = await lockstep([...words, 'show'])
    equal([shown.json.engine, shown.json.schema_version], ['postgresql', 1], shown.stdout)
    ok(!shown.stdout.includes(new URL(url).password))
    is((await lockstep(['--dir', dir, 'verify'])).status, 0)
    const { json } = await lockstep(['--dir', dir, 'doctor'])
    const found = (json.findings as { check: string; finding: string; outcome: string }[]).find(
      ({ check }) => check === 'engine',
    )
    // The superuser may change everything.
    is(found?.outcome, 'warn')
    match(found?.finding ?? '', /UPDATE on lockstep\.batch/)
  })
  engine.after(() => server.close())
}
engine.run()
