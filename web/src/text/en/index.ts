// English: the language that names the keys. One file for each namespace.
import { account } from './account';
import { common } from './common';
import { console } from './console';
import { error } from './error';
import { file } from './file';
import { instance } from './instance';
import { job } from './job';
import { activity } from './activity';
import { deploy } from './deploy';
import { image } from './image';
import { onboarding } from './onboarding';
import { overview } from './overview';
import { preset } from './preset';
import { registry } from './registry';
import { role } from './role';
import { rule } from './rule';
import { setting } from './setting';
import { user } from './user';
import { login } from './login';
import { nav } from './nav';
import { node } from './node';
import { state } from './state';
import { stats } from './stats';

export const en = { account, common, error, job, node, activity, deploy, image, onboarding, overview, preset, registry, role, rule, setting, user, login, nav, state, console, file, instance, stats };
export type English = typeof en;
