// The pages of an instance come from several features; here they are put together.
import { Button } from '@mantine/core';
import { IconActivity, IconChartLine, IconDots, IconFolder, IconNetwork, IconRocket, IconSettings, IconTerminal2, IconUsers } from '@tabler/icons-react';
import { lazy } from 'react';
import { useParams } from 'wouter';
import { InstanceFrame, type InstanceTab } from '@/features/instance/InstanceFrame';
import { heldBy } from '@/features/instance/held';
import { may, type Instance } from '@/features/instance/model';
import { InstanceAdmin } from '@/features/instance/admin/InstanceAdmin';
import { Overview } from '@/features/instance/Overview';
import { t } from '@/text';

const Console = lazy(() => import('@/features/console/Console'));
const Files = lazy(() => import('@/features/file/FilesTab'));
const Stats = lazy(() => import('@/features/stats/StatsTab'));

interface Props {
  instance: Instance;
}

function OverviewTab({ instance }: Props) {
  return (
    <Overview instance={instance}>
      {may(instance, 'console.read') && (
        <Console
          instance={instance.id}
          writes={may(instance, 'console.write')}
          running={instance.actual === 'running' || instance.actual === 'starting'}
          held={heldBy(instance)}
        />
      )}
    </Overview>
  );
}

function FilesTab({ instance }: Props) {
  return <Files instance={instance.id} writes={may(instance, 'files.write')} />;
}

function StatsTab({ instance }: Props) {
  return <Stats instance={instance} />;
}

const tabs: readonly InstanceTab[] = [
  { slug: '', label: 'instance.tabOverview', icon: IconTerminal2, right: 'instance.see', page: OverviewTab },
  { slug: 'files', label: 'instance.tabFiles', icon: IconFolder, right: 'files.read', page: FilesTab },
  { slug: 'stats', label: 'instance.tabStats', icon: IconChartLine, right: 'instance.see', page: StatsTab },
  { slug: 'startup', label: 'instance.tabStartup', icon: IconRocket, right: 'instance.edit', page: lazy(() => import('@/features/instance/StartupTab')) },
  { slug: 'network', label: 'instance.tabNetwork', icon: IconNetwork, right: 'instance.see', page: lazy(() => import('@/features/instance/NetworkTab')) },
  { slug: 'subusers', label: 'instance.tabSubusers', icon: IconUsers, right: 'subusers.write', page: lazy(() => import('@/features/instance/SubusersTab')) },
  { slug: 'activity', label: 'instance.tabActivity', icon: IconActivity, right: 'activity.read', page: lazy(() => import('@/features/instance/ActivityTab')) },
  { slug: 'settings', label: 'instance.tabSettings', icon: IconSettings, right: 'instance.see', page: lazy(() => import('@/features/instance/SettingsTab')) },
];

export default function InstancePages() {
  const { id } = useParams<{ id: string }>();
  return (
    <InstanceFrame
      id={id}
      tabs={tabs}
      actions={(instance) => (
        <InstanceAdmin instance={instance}>
          <Button size="sm" px="xs" aria-label={t('instance.more')}>
            <IconDots size={16} aria-hidden />
          </Button>
        </InstanceAdmin>
      )}
    />
  );
}
