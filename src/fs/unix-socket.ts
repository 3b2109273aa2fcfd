import { createServer, connect as netConnect, type Server, type Socket } from 'node:net'

/** So many connections wait until the process accepts them; the kernel takes no more. */
const backlog = 511

/**
 * Listens on a Unix socket: on a path, or on a name without a file where it begins with a NUL (Linux). The socket keeps
 * no process alive, belongs to this process alone even in a worker of a cluster, and is not inherited by children.
 * Rejects with the system's error.
 */
export function listenAt(path: string, onConnection: (socket: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      // The other side may be gone already, and that is its own matter.
      socket.on('error', () => {})
      socket.unref()
      onConnection(socket)
    })
    server.once('error', reject)
    server.listen({ path, backlog, exclusive: true }, () => {
      server.off('error', reject).on('error', () => {})
      server.unref()
      resolve(server)
    })
  })
}

/** Connects to a Unix socket. Rejects with the system's error. */
export function connectTo(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = netConnect({ path })
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject).on('error', () => {})
      resolve(socket)
    })
  })
}
