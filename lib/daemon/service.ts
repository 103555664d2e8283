/**
 * How the system's own services run the daemon: the unit of systemd, the agent of launchd, the task of Windows, and the
 * commands that put them in force. Pure: every platform's are made, and tested, on any.
 */
import { posix, win32 } from 'node:path';
import { HearsayError } from '../errors.js';
import { blake3 } from '../hash.js';

export interface ServiceSpec {
  platform: NodeJS.Platform;
  /** What it is called; for a state folder that is not the usual one, another for each. */
  name: string;
  /** The program and its words. */
  command: string[];
  /** The state folder, absolute. */
  state: string;
  /** The user's home folder. */
  home: string;
  /** The user's number; -1 on Windows. */
  uid: number;
  env: Readonly<Record<string, string | undefined>>;
  /** Whether systemd-notify is there to tell systemd that the daemon is ready. */
  notify: boolean;
}

/** A command of the system: its words, and whether its failing is no matter, since there may be nothing to undo. */
export interface Step {
  words: string[];
  lenient?: true;
}

export interface Service {
  /** The file that says it, and its text. */
  file: string;
  text: string;
  /** How the text is written: the task scheduler reads nothing else. */
  encoding: 'utf8' | 'utf16le';
  /** Puts it in force, and starts it; undoes that, before the file is removed, and after. */
  enable: Step[];
  disable: Step[];
  after: Step[];
  start: Step[];
  restart: Step[];
  /** What a person should know, and would not guess. */
  note: string;
}

/** What the service of a state folder is called. @param state undefined for the usual one */
export function serviceName(state: string | undefined): string {
  if (state === undefined) return 'hearsay';
  return `hearsay-${blake3(`hearsay service 1\0${state}`).toString('hex').slice(0, 8)}`;
}

/**
 * The service of a platform.
 * @throws HearsayError `usage` where a word cannot be written there, `failed` on a platform that has none of the three
 */
export function serviceOf(spec: ServiceSpec): Service {
  for (const word of [...spec.command, spec.state]) {
    if (/[\0\n\r]/.test(word)) throw new HearsayError('usage', `a service cannot be told ${JSON.stringify(word)}`);
  }
  switch (spec.platform) {
    case 'linux':
      return systemd(spec);
    case 'darwin':
      return launchd(spec);
    case 'win32':
      return task(spec);
    default:
      throw new HearsayError(
        'failed',
        `no service is known for ${spec.platform}: have it run ${spec.command.join(' ')}`,
      );
  }
}

/** A word of a systemd command line that begins with `:`, so that `$` is nothing special in it. */
function unitWord(word: string): string {
  const text = word.replaceAll('%', '%%');
  return /^[\w./=:@%+,-]+$/.test(text) ? text : `"${text.replace(/["\\]/g, '\\$&')}"`;
}

export function systemdUnit({ command, notify }: ServiceSpec): string {
  return `[Unit]
Description=hearsay, sharing files on the local network
# What is wrong with an option or a setting (exit 2) does not heal; anything else is tried again, ever.
StartLimitIntervalSec=0

[Service]
${notify ? 'Type=notify\n# Node cannot speak to systemd itself, so systemd-notify does, which is a process of its own.\nNotifyAccess=all' : 'Type=exec'}
ExecStart=:${command.map(unitWord).join(' ')}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=5
RestartPreventExitStatus=2
# The first scan of what is shared, and the goodbye.
TimeoutStartSec=300
TimeoutStopSec=60

# It needs no privilege, only files to read, folders to fetch into, and the network. /tmp and the home folder are left to
# it: the control socket lies in $XDG_RUNTIME_DIR or /tmp, and what is shared anywhere.
NoNewPrivileges=yes
ProtectSystem=full
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=default.target
`;
}

function systemd(spec: ServiceSpec): Service {
  const { name, home, env } = spec;
  const config = env.XDG_CONFIG_HOME && posix.isAbsolute(env.XDG_CONFIG_HOME) ? env.XDG_CONFIG_HOME : `${home}/.config`;
  const unit = `${name}.service`;
  const systemctl = (...words: string[]): Step => ({ words: ['systemctl', '--user', ...words] });
  return {
    file: posix.join(config, 'systemd', 'user', unit),
    text: systemdUnit(spec),
    encoding: 'utf8',
    enable: [systemctl('daemon-reload'), systemctl('enable', unit), systemctl('restart', unit)],
    disable: [{ ...systemctl('disable', '--now', unit), lenient: true }],
    after: [{ ...systemctl('daemon-reload'), lenient: true }],
    start: [systemctl('start', unit)],
    restart: [systemctl('restart', unit)],
    note: 'it runs while you are logged in; `loginctl enable-linger` has it run from the start of the machine on',
  };
}

/** Text within XML. */
function xml(text: string): string {
  const names: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;' };
  return text.replace(/[&<>"']/g, (c) => names[c]);
}

export function launchdPlist({ name, command, state }: ServiceSpec): string {
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>${xml(name)}</string>
  <key>ProgramArguments</key>
  <array>
${command.map((word) => `    <string>${xml(word)}</string>`).join('\n')}
  </array>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>ThrottleInterval</key>
  <integer>10</integer>
  <key>ExitTimeOut</key>
  <integer>60</integer>
  <key>StandardErrorPath</key>
  <string>${xml(posix.join(state, 'log', 'stderr.log'))}</string>
</dict>
</plist>
`;
}

function launchd(spec: ServiceSpec): Service {
  const { name, home, uid } = spec;
  const file = posix.join(home, 'Library', 'LaunchAgents', `${name}.plist`);
  const domain = `gui/${uid}`;
  const launchctl = (...words: string[]): Step => ({ words: ['launchctl', ...words] });
  const bootout: Step = { ...launchctl('bootout', `${domain}/${name}`), lenient: true };
  return {
    file,
    text: launchdPlist(spec),
    encoding: 'utf8',
    enable: [bootout, launchctl('enable', `${domain}/${name}`), launchctl('bootstrap', domain, file)],
    disable: [bootout],
    after: [],
    start: [launchctl('kickstart', `${domain}/${name}`)],
    restart: [launchctl('kickstart', '-k', `${domain}/${name}`)],
    note: 'it runs while you are logged in; macOS may ask whether it may use the local network',
  };
}

/** A word of a Windows command line, as the C runtime takes it apart. */
function windowsWord(word: string): string {
  if (word !== '' && !/[\s"]/.test(word)) return word;
  return `"${word.replace(/(\\*)"/g, '$1$1\\"').replace(/\\+$/, '$&$&')}"`;
}

export function taskXml({ command, env, state }: ServiceSpec): string {
  const [program, ...words] = command;
  const user = [env.USERDOMAIN, env.USERNAME].filter(Boolean).join('\\');
  const who = `<UserId>${xml(user)}</UserId>`;
  // Without a console of its own, which would be a window on the desktop.
  const args = ['--headless', program, ...words].map(windowsWord).join(' ');
  return `<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.3" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>hearsay, sharing files on the local network</Description>
  </RegistrationInfo>
  <Triggers>
    <LogonTrigger>
      <Enabled>true</Enabled>
      ${who}
    </LogonTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author">
      ${who}
      <LogonType>InteractiveToken</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <AllowHardTerminate>true</AllowHardTerminate>
    <StartWhenAvailable>true</StartWhenAvailable>
    <RunOnlyIfNetworkAvailable>false</RunOnlyIfNetworkAvailable>
    <AllowStartOnDemand>true</AllowStartOnDemand>
    <Enabled>true</Enabled>
    <Hidden>false</Hidden>
    <RunOnlyIfIdle>false</RunOnlyIfIdle>
    <WakeToRun>false</WakeToRun>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <Priority>7</Priority>
    <RestartOnFailure>
      <Interval>PT1M</Interval>
      <Count>999</Count>
    </RestartOnFailure>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>conhost.exe</Command>
      <Arguments>${xml(args)}</Arguments>
      <WorkingDirectory>${xml(state)}</WorkingDirectory>
    </Exec>
  </Actions>
</Task>
`;
}

function task(spec: ServiceSpec): Service {
  const { name, state } = spec;
  const file = win32.join(state, `${name}.task.xml`);
  const schtasks = (...words: string[]): Step => ({ words: ['schtasks', ...words] });
  const end: Step = { ...schtasks('/end', '/tn', name), lenient: true };
  const run = schtasks('/run', '/tn', name);
  return {
    file,
    text: `\ufeff${taskXml(spec)}`,
    encoding: 'utf16le',
    enable: [schtasks('/create', '/tn', name, '/xml', file, '/f'), run],
    disable: [end, { ...schtasks('/delete', '/tn', name, '/f'), lenient: true }],
    after: [],
    start: [run],
    restart: [end, run],
    note: 'it runs while you are logged in; Windows may ask whether it may use the network',
  };
}
