import { Anchor, Tabs } from '@mantine/core';
import { IconExternalLink } from '@tabler/icons-react';
import { useSearchParams } from 'wouter';
import { t } from '@/text';
import { PageHeader, TabList } from '@/ui';
import { MailSettings } from './MailSettings';
import { OIDCSettings } from './OIDCSettings';
import { PanelSettings } from './PanelSettings';

export default function SettingsPage() {
  const [params, setParams] = useSearchParams();
  const open = params.get('tab') ?? 'panel';
  return (
    <>
      <PageHeader
        title={t('setting.title')}
        actions={
          <Anchor href="/docs" target="_blank" rel="noopener">
            {t('nav.apiDocs')} <IconExternalLink size={14} aria-hidden />
          </Anchor>
        }
      />
      <Tabs value={open} onChange={(tab) => setParams(tab && tab !== 'panel' ? { tab } : {}, { replace: true })}>
        <TabList open={open}>
          <Tabs.Tab value="panel">{t('setting.panel')}</Tabs.Tab>
          <Tabs.Tab value="mail">{t('setting.mail')}</Tabs.Tab>
          <Tabs.Tab value="oidc">{t('setting.oidc')}</Tabs.Tab>
        </TabList>
        <Tabs.Panel value="panel">
          <PanelSettings />
        </Tabs.Panel>
        <Tabs.Panel value="mail">
          <MailSettings />
        </Tabs.Panel>
        <Tabs.Panel value="oidc">
          <OIDCSettings />
        </Tabs.Panel>
      </Tabs>
    </>
  );
}
