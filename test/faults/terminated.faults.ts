import { sweep } from './sweep.js'

sweep('terminated', ['before', 'during', 'after'])
