/** A service whose programs are all one script, `bin/web`. */
export const WEB = {
  kind: 'command',
  deploy: ['./bin/web', 'deploy', '{tag}'],
  start: ['./bin/web', 'start'],
  stop: ['./bin/web', 'stop'],
  current: ['./bin/web', 'current'],
  status: ['./bin/web', 'status'],
}
