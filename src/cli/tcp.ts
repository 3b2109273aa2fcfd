import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import type { TcpOptions } from '../service/listen.ts'
import { readText } from './input-file.ts'
import { type Given, text, toggle } from './verb.ts'

/** The options of a command that listens on TCP. */
export const tcpOptions = {
  insecure: toggle('--insecure', 'allow plain HTTP on an address that other machines can reach'),
  tlsCert: text('--tls-cert <file>', 'the certificate for TLS, as PEM'),
  tlsClientCa: text('--tls-client-ca <file>', 'demand client certificates of this authority'),
  tlsKey: text('--tls-key <file>', 'the key of the certificate, as PEM'),
}

/** The address HOST:PORT, and the files that the options of TLS name. Errors: INVALID_INPUT, those of reading a file. */
export function tcpOf(
  listen: string,
  { insecure, tlsCert, tlsClientCa, tlsKey }: Given<typeof tcpOptions>,
): TcpOptions {
  if ((tlsCert === undefined) !== (tlsKey === undefined)) throw invalid('--tls-cert and --tls-key need each other')
  if (tlsClientCa !== undefined && tlsCert === undefined) throw invalid('--tls-client-ca needs --tls-cert')
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:\s]+)):(\d{1,5})$/.exec(listen) ?? []
  const host = bracketed ?? plain
  if (host === undefined || Number(port) > 65_535) throw invalid('--listen must be HOST:PORT')
  const tls =
    tlsCert === undefined || tlsKey === undefined
      ? undefined
      : { cert: pemIn(tlsCert), key: pemIn(tlsKey), client_ca: tlsClientCa && pemIn(tlsClientCa) }
  return { host, port: Number(port), insecure: insecure === true, tls }
}

/** Resolves at the first signal, or when `now` is called. A second signal ends the process at once. */
export function stopped(): { asked: Promise<void>; now: () => void } {
  let now = () => {}
  const asked = new Promise<void>((resolve) => {
    now = resolve
  })
  let isAsked = false
  const numbers = { SIGINT: 2, SIGTERM: 15 }
  for (const [signal, number] of Object.entries(numbers)) {
    process.on(signal, () => {
      if (isAsked) process.exit(128 + number)
      isAsked = true
      now()
    })
  }
  return { asked, now }
}

const pemIn = (file: string) => readText(file, limits.homeFileBytes)

function invalid(message: string): LockstepError {
  return new LockstepError('INVALID_INPUT', message)
}
