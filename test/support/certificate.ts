import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryRoot } from './ledger.ts'

let made: { cert: string; key: string } | undefined

/** A certificate of its own authority for 127.0.0.1 and localhost, with its key, as PEM. Made once in a process. */
export function certificate(): { cert: string; key: string } {
  if (made !== undefined) return made
  const folder = temporaryRoot()
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost']
  execFileSync('openssl', ['req', '-x509', ...curve, ...names, '-keyout', key, '-out', cert], { stdio: 'pipe' })
  made = { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') }
  return made
}
