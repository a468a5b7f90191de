import { sweep } from './sweep.js'

sweep('postgres-stopped', ['before', 'during', 'after'])
