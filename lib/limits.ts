/** Every bound in one place, each with its reason. Nothing that a stranger can make grow is without one. */

const KIB = 1024;
const MIB = 1024 * KIB;

/** A datagram, bytes: below IPv6's least MTU less headers (1,232), so that none is ever fragmented. */
export const DATAGRAM_MAX = 1200;

/** What is said in a datagram, bytes: what is left when it is sealed for a private group (salt, counter and tag take 40). */
export const DATAGRAM_PLAIN_MAX = 1160;

/** A message in a datagram, bytes: what is left when it is broadcast as well, within another message that says so (16). */
export const DATAGRAM_MESSAGE_MAX = DATAGRAM_PLAIN_MAX - 16;

/** Datagrams to everyone remembered for a moment, so that a copy by another card is known as one: those of some hundred peers. */
export const COPIES_MAX = 256;

/** Peers remembered from before: those whom a person has met in a month; kept with their addresses they are some 100 KB. */
export const REMEMBERED_MAX = 256;

/** Of those remembered, dialled at a time: few, as most of them are not there any more. */
export const RECALLS_MAX = 4;

/** Addresses that are named to the cards' side as near; where more are, every card is meant. */
export const NEAR_MAX = 64;

/** Hosts of the config's `[[peers]]`: as many as a person would write; each is dialled for as long as it does not answer. */
export const LISTED_MAX = 256;

/** A block, bytes: the unit of requesting, framing and acknowledging; small, so that small things pass between. */
export const BLOCK = 256 * KIB;

/** Any frame of the stream, bytes: a block or a page of offers with room for its envelope. */
export const FRAME_MAX = BLOCK + 64 * KIB;

/** Epochs, versions and beats: far above what any peer reaches, far below where adding 1 loses digits (2^53). */
export const COUNTER_MAX = 2 ** 48;

/** Nesting of a message: the deepest that we define is 4. */
export const DEPTH_MAX = 6;

/** A path on the wire, UTF-8 bytes: what Linux and macOS allow for one path. */
export const PATH_MAX = 4096;

/** A segment of a path, UTF-8 bytes: what every common file system allows. */
export const SEGMENT_MAX = 255;

/** Folders within folders of one path: keeps the walk of a hostile tree short. */
export const PATH_DEPTH_MAX = 128;

/** A peer's name, UTF-8 bytes: fits a heartbeat in one datagram, and a line of a table. */
export const NAME_MAX = 64;

/** Size of one file, bytes (1 PiB): keeps chunk numbers within 32 bits and a manifest within 8 GiB. */
export const FILE_SIZE_MAX = 2 ** 50;

/** Chunks of a file that we fetch: 4 MiB chunks up to 4 TiB; the manifest of that is 32 MiB of memory. */
export const CHUNKS_MAX = 1 << 20;

/** Hashes in one manifest frame: 4,096 of 32 bytes are 128 KiB. */
export const MANIFEST_PAGE = 4096;

/** Buckets of an offer tree: 256 hashes of 16 bytes are 4 KiB, and a bucket of a share of 100,000 files has 400. */
export const BUCKETS = 256;

/** Offers of one peer that others keep: a million cost some 400 MB, and no home or office shares more by one peer. */
export const OFFERS_PER_PEER_MAX = 1_000_000;

/** Tombstones that a writer keeps; older ones raise the floor, and who is behind it pulls by buckets. */
export const TOMBSTONES_MAX = 10_000;

/** Offers in one page over TCP: about 100 KiB with ordinary paths; a page also ends at PAGE_BYTES. */
export const OFFERS_PER_PAGE = 2000;

/** Bytes of offers in one page: leaves room for one longest path within a frame. */
export const PAGE_BYTES = 192 * KIB;

/** Peers kept in the index, alive or lately gone: ten times the largest LAN that we aim at. */
export const PEERS_MAX = 10_000;

/** Peers of one address beyond which it gives one up where there is no room for another: a machine on which hundreds are tested. */
export const PEERS_PER_ADDRESS_MAX = 256;

/** Offers of all live peers together: some 1.6 GB; beyond it those of the address with most are left out, with a warning. */
export const OFFERS_MAX = 4_000_000;

/** Shelves of peers that are gone, kept for a day so that a return costs no pull. */
export const GONE_SHELVES_MAX = 1000;

/** Offers on all of these: some 400 MB; beyond it those gone longest ago lose theirs. */
export const GONE_OFFERS_MAX = 1_000_000;

/** Heartbeats remembered by their signatures, so that others' show that they followed: those of a minute and a half. */
export const PULSES_MAX = 2048;

/** Characters of a pattern: as long as the longest sensible path's; the matcher's cost is path × pattern / 32. */
export const PATTERN_MAX = 1024;

/** Words of a search: each is looked for in every path. */
export const WORDS_MAX = 64;

/** Addresses kept of one peer: several cards, two families; the latest heard win. */
export const ADDRESSES_MAX = 16;

/** Neighbours told to a new connection in one frame. */
export const NEIGHBOURS_MAX = 256;

/** Dials that gossip has under way: enough to be in touch with a full LAN within a minute, too few to storm one host. */
export const DIALS_MAX = 8;

/** Peers waiting to be dialled, in all: what a few of those who were joined tell of. */
export const DIALS_QUEUED_MAX = 4 * NEIGHBOURS_MAX;

/** The same of those that one peer told of: one who invents many keeps nobody else out. */
export const DIALS_QUEUED_OF_ONE_MAX = NEIGHBOURS_MAX;

/** Those who asked by datagram lately and are remembered: the one-shots of a thousand hosts. */
export const ASKERS_MAX = 1024;

/** Heads remembered as checked: what was multicast comes once by each card, and is told by several neighbours. */
export const CHECKED_MAX = 2048;

/** Other writers' offers being pulled at once: more would only share the same link and disk. */
export const PULLS_MAX = 8;

/** Writers in one digest: all of a large LAN, 56 KB. */
export const DIGEST_MAX = 1024;

/** Offers gathered at a time of all answers to pulls: two of the largest; beyond it the largest gives way. */
export const GATHERED_MAX = 2 * (OFFERS_PER_PEER_MAX + TOMBSTONES_MAX);

/** Datagrams waiting to be handled: at 1,200 bytes some 2.4 MB; beyond it those of whoever sends most are dropped, gossip heals. */
export const DATAGRAM_QUEUE_MAX = 2048;

/** Addresses whose datagrams are counted one by one for the doctor: those of a full LAN, by IPv4 and IPv6. */
export const HEARD_HOSTS_MAX = 2048;

/** Connections at once in all: a thousand peers use far fewer, and each costs some 100 KiB. */
export const CONNECTIONS_MAX = 512;

/** Connections at once from one address: several peers and one-shots of one host. */
export const CONNECTIONS_PER_ADDRESS_MAX = 64;

/** Connections from outside that have not shaken hands, in all: a handshake takes milliseconds, and each costs some 50 KiB. */
export const HALF_OPEN_MAX = 128;

/** The same from one address: some one-shots of one host that begin at once. */
export const HALF_OPEN_PER_ADDRESS_MAX = 32;

/** Milliseconds that a handshake may take before the connection is closed. */
export const HANDSHAKE_MS = 5000;

/** Handshakes from outside begun in a second: each costs a good millisecond, so a flood takes a quarter of a core at most. */
export const HANDSHAKES_PER_SECOND = 200;

/** Connections being dialled at once, one for each address tried: three large files from 32 sources each, and what gossip wants. */
export const DIALS_AT_ONCE_MAX = 128;

/** Requests of one connection that are open at a time: beyond it the answer is `limit`. */
export const REQUESTS_PER_CONNECTION_MAX = 1024;

/** Transfers open on one connection as source. */
export const TRANSFERS_PER_CONNECTION_MAX = 256;

/** Bytes queued to a slow reader before we wait for it: the window of a fast link, so that it never runs dry. */
export const SEND_QUEUE_MAX = 4 * MIB;

/** The same of all links together, each having an equal part: so a crowd that does not read costs no more than this. */
export const SEND_QUEUES_MAX = 512 * MIB;

/** Buffers of chunks that lie ready to be used again: what a fast transfer turns over in a moment. */
export const SPARE_BYTES = 32 * MIB;

/** Bytes queued to a reader that does not read at all before it is cut off: what is not waited for is small beside SEND_QUEUE_MAX. */
export const SEND_QUEUE_CUT = 8 * MIB;

/** Bytes that small words may come to beside what a slow reader is waited for: a frame, a tunnel's window, and some thousand words. */
export const SEND_BESIDE_MAX = 2 * MIB;

/** Milliseconds in which a reader must take something of what is queued to it: a cable that is out, or one who only holds memory. */
export const SEND_STALL_MS = 60_000;

/** Blocks, or files of a bundle, of one request that may wait to be sent: a 64 MiB window; beyond it the receiver asks again. */
export const ITEMS_QUEUED_MAX = 256;

/**
 * Characters of names and questions in the open requests of one connection, of small files and of questions each: three requests of
 * the longest paths.
 */
export const NAMES_MAX = 2 * MIB;

/** Long answers (pulls, finds) under way at once, each holding the list of what it tells: 8 MB where a million files are shared. */
export const ANSWERS_AT_ONCE = 32;

/** The same to one address: one who asks much leaves places to others. */
export const ANSWERS_PER_ADDRESS = 4;

/** Milliseconds after which an answer, whose reader takes so long, gives its place to others who wait. */
export const ANSWER_MOST_MS = 60_000;

/** Bytes of chunks that are kept so that several receivers of one file cost one read: as many as they are apart. */
export const CACHE_BYTES = 48 * MIB;

/** Chunks read from the disk at once to be served: more than it has threads, and 64 MiB at most. */
export const READS_AT_ONCE = 16;

/** Shared files that are kept open at once, of all that are served: far below what the systems allow a process. */
export const OPEN_FILES_MAX = 256;

/** Files that were said to be wrong and are remembered as looked at again: to read one whole is what a stranger can make us do. */
export const LOOKED_MAX = 1000;

/** Unacknowledged blocks that a source keeps open for one connection: 64 of 256 KiB are 16 MiB in flight. */
export const UNACKED_MAX = 64;

/** Chunks of one content that a source has promised to a receiver and that were not asked for: what a fast link carries in a moment. */
export const PROMISED_MAX = 64;

/** Bytes of chunks being assembled by a receiver, over all its files; each may have four chunks, so that it goes on. */
export const ASSEMBLY_MAX = 32 * MIB;

/** Bytes of small files that came and wait for a slow disk, of one get: what 32 sources send that are asked for three requests each. */
export const UNWRITTEN_MAX = 128 * MIB;

/** Small files in one request: one frame of answers names as many. */
export const SMALL_BATCH_MAX = 128;

/** A small file, bytes: at most one chunk, travels in one bundle. */
export const SMALL_MAX = BLOCK;

/** Files looked at and told of by one answer to a query. */
export const HITS_MAX = 1_000_000;

/** Offers that one find gives: the best. Whoever needs more says more. */
export const FOUND_MAX = 10_000;

/** Receivers of one content that a source tells of: enough to find a swarm, small in a frame. */
export const SWARM_TOLD_MAX = 64;

/** Sources used at once for one file, or for the small files of one get. */
export const SOURCES_MAX = 32;

/** Files and folders of one send: as many as people name by hand; more belong into a folder. */
export const PARCEL_ITEMS_MAX = 256;

/** Receivers of one send: the largest class or hall; each is told of all others, who serve each other. */
export const SEND_TO_MAX = 256;

/** Sends of one peer under way at once: each watches and offers what it sends. */
export const SENDS_MAX = 32;

/** What others want to send here and is not over, waiting for a person or on its way: more than anyone answers. */
export const INBOX_OPEN_MAX = 64;

/** The same of one sender: one who sends much leaves room to others. */
export const INBOX_OPEN_OF_ONE_MAX = 8;

/** What was sent here and is over, as the inbox remembers it: some weeks of a busy person, 200 KB. */
export const INBOX_OVER_MAX = 500;

/** What was received here and is still given to its fellows: swarms that end at a time, each for minutes. */
export const INBOX_LINGERING_MAX = 32;

/** What one host may offer, and take back or abandon, within INBOX_UNKEPT_MS: a person who changes his mind, no flood of questions. */
export const INBOX_UNKEPT_MAX = 20;
export const INBOX_UNKEPT_MS = 600_000;

/** Hosts of which that is counted. */
export const INBOX_HOSTS_MAX = 1024;

/** Contents of the inbox folder that are remembered, so that nobody has the same file read again and again. */
export const COMPARED_MAX = 1024;

/** Words about fellows that are checked for one parcel: a few for each. */
export const FELLOWS_CHECKED_MAX = 4 * SEND_TO_MAX;

/** Parcels that are received at once; others wait: each has its own sources, and all share the disk. */
export const RECEIVES_MAX = 8;

/** The same of one sender: who sends without end leaves places to others. */
export const RECEIVES_OF_ONE_MAX = RECEIVES_MAX / 2;

/** Files that were fetched here and are remembered, so that what is in them need not be fetched again: some years of a person's large ones. */
export const FETCHED_MAX = 10_000;

/** Other receivers of one file that were told of and are tried: a swarm is found through far fewer. */
export const MET_MAX = 1000;

/** Warnings of one kind that others caused, told within WARNINGS_TOLD_MS: what a person may still read. */
export const WARNINGS_TOLD_MAX = 10;
export const WARNINGS_TOLD_MS = 600_000;

/** Events that wait for a slow reader before those that may be dropped are, and changes of one file are put together. */
export const BEHIND_MAX = 1000;

/** Rows of each kind that a refresh gives: as many as a person reads; of the rest it gives the number. */
export const REFRESH_ROWS_MAX = 20;

/** Open transfers whose file the trace remembers: those of many connections; of others it tells no name. */
export const TRACED_MAX = 4096;

/** Content ids remembered that were asked for ahead of gossip, which brings them soon after. */
export const HASHED_MAX = 10_000;

/** Public keys kept ready for verifying: as many as there are peers on a large LAN, at some 500 bytes each. */
export const READY_MAX = 1024;

/** A control message, bytes: a page of a listing. */
export const CONTROL_FRAME_MAX = 4 * MIB;

/** The first control message, before the other side has proved itself, bytes. */
export const CONTROL_HELLO_MAX = 4 * KIB;

/** Control connections at once: one for each command that runs beside the peer. */
export const CONTROL_CONNECTIONS_MAX = 64;

/** Requests open at a time on one control connection: a command has two or three. */
export const CONTROL_REQUESTS_MAX = 16;

/** Events of one stream sent to a command and not yet taken by it. */
export const CONTROL_CREDIT = 256;

/** Bytes of a listing gathered into one control message: far below CONTROL_FRAME_MAX, so that others pass between. */
export const CONTROL_PART_BYTES = 256 * KIB;

/** Peers of one row in one control message: a name of control characters takes 450 bytes of JSON, so 450 KB. */
export const CONTROL_PEERS_MAX = 1000;

/** What is said of how a path may go on: more than that nobody reads. */
export const COMPLETIONS_MAX = 200;

/** Milliseconds that a shell's completion waits for the running peer: whoever types does not wait longer. */
export const COMPLETION_MS = 1000;

/** Numbers that one console gives to files: as many as an index of a large site has, at some 200 bytes each. */
export const CONSOLE_NUMBERS_MAX = 1_000_000;

/** Lines that were typed at consoles and are offered again: those of some months. */
export const CONSOLE_HISTORY_MAX = 1000;

/** Lines typed at a console while an earlier one is done: a pasted script. */
export const CONSOLE_LINES_MAX = 1000;

/** Gets and sends that one console follows at a time, half of CONTROL_REQUESTS_MAX: further ones wait for their turn. */
export const CONSOLE_BEHIND_MAX = 8;

/** Bytes of a `.hearsayignore` that are read. */
export const IGNORE_FILE_MAX = 256 * KIB;

/** Files whose hashes are remembered across restarts: at some 150 bytes each, 300 MB of disk at the most usual sizes. */
export const HASH_ENTRIES_MAX = 2_000_000;

/** Folders watched one by one: a watch costs some 2 KiB here and 1 KiB in the kernel; beyond it the share is polled. */
export const WATCHES_MAX = 50_000;

/** Paths waiting to be looked at: beyond it the whole share is. */
export const LOOKS_MAX = 50_000;

/** Shares of one peer at a time: a household has ten; each has its watchers, and is looked at every second. */
export const SHARES_MAX = 256;

/** Patterns that choose files of one share, in and out each: every path is compared with all of them. */
export const PATTERNS_MAX = 64;

/** Names and ids to whom one share is limited: a family or an office; each is compared with every peer that comes. */
export const ALLOWED_MAX = 256;

/** Peers remembered that bear one awaited name: two are ambiguous already, and the warning names some more. */
export const BEARERS_MAX = 16;

/** Names tied to a key: whom one person names in many years. A thousand are 100 KB of `known.json`. */
export const KNOWN_MAX = 1000;

/** Rows of the log of who fetched what, kept in memory: at some 300 bytes each, 3 MB. */
export const SERVED_MAX = 10_000;

/** Bytes of the log's file before it is rotated; with the one before it, some 40,000 rows or more on the disk. */
export const SERVED_FILE_MAX = 4 * MIB;

/** Rows of the log that wait for a disk that does not take them: 30 MB at most; older ones are let go. */
export const SERVED_WAITING_MAX = 100_000;

/** Bytes of the daemon's log before it is rotated: some 25,000 lines, weeks of a household. */
export const LOG_FILE_MAX = 5 * MIB;

/** Files of the daemon's log, the one that is written among them: 15 MiB of disk at most. */
export const LOG_FILES = 3;

/** Characters of log lines that wait for a disk that does not take them; beyond it the oldest are let go, and counted. */
export const LOG_WAITING_MAX = MIB;

/** Lines of one second about files that one peer fetched; beyond it they are counted: a folder of 100,000 files is one get. */
export const LOG_SERVED_MAX = 5;

/** Peers whose lines of one second are counted, one by one; those of all others are counted together. */
export const LOG_SERVED_PEERS_MAX = 64;

/** A group's secret, UTF-8 bytes: the longest passphrase that anyone types. */
export const SECRET_MAX = 1024;

/** Bytes of a secret file that are read: one line, and what people add below it. */
export const SECRET_FILE_MAX = 8 * KIB;

/** Senders of sealed datagrams whose keys are remembered: as many as there are peers, at some 500 bytes each. */
export const SEAL_SENDERS_MAX = PEERS_MAX;

/** Addresses whose unknown datagrams are counted, members' and strangers': beyond it the least used begin anew. */
export const SEAL_HOSTS_MAX = 4096;

/** Hosts of other groups that are remembered, so that who finds nobody is told how many there are. */
export const STRANGERS_MAX = 256;

/** Trackers of one registry that a tracker tells of: enough to move to when one dies. */
export const TRACKERS_TOLD_MAX = 8;

/** Trackers with which a peer registers at a time: one would do, and of four one is always there. */
export const TRACKERS_MAX = 4;

/** Trackers that a peer knows of: those that a person names, those heard, and for each some that it may move to. */
export const TRACKERS_KNOWN_MAX = 32;

/** Offers of a registry that a peer keeps a copy of, at 8 MB, and is told of changes; a larger one it asks. */
export const MIRROR_OFFERS_MAX = 20_000;

/** The same of its peers, each of whose comings and goings would be told to each other. */
export const MIRROR_PEERS_MAX = 1000;

/** Heads that trackers told of and that are checked at once; at 110 µs each, the peers of a large registry take a second. */
export const TOLD_HEADS_MAX = 10_000;

/** Contents of which a peer tells trackers what it has received so far: those of many gets at once. */
export const REPORTS_MAX = 64;

/** A value that trackers keep in their store, bytes: a page of offers, or the largest bit set, with room; larger ones are passed over. */
export const STORE_VALUE_MAX = 512 * KIB;

/** Bytes of values kept of one reply of the store: what is asked for at once is far less; what is beyond it is passed over. */
export const STORE_REPLY_MAX = 16 * MIB;

/** Items in one reply of the store: a step through a hash brings some times what was asked for. */
export const STORE_REPLY_ITEMS_MAX = 1 << 17;

/** Entries in the log of trackers that share a store: minutes of a busy registry; who lags further behind reads the whole anew. */
export const STORE_LOG_MAX = 8192;

/** Records that wait for a slow store, beyond those that tell it everything: with more, everything is told anew. */
export const STORE_WAITING_MAX = 10_000;

/** Trackers of one registry that another takes notice of: far more than share one store. */
export const STORE_TRACKERS_MAX = 64;

/** Bytes of bit sets of which trackers told, kept at a time: of every chunk of 256 files as large as they may be. */
export const TOLD_BITS_MAX = 32 * MIB;

/** Connections at once of a tracker: one for each peer of a large site, at some 60 KiB each. */
export const TRACKER_CONNECTIONS_MAX = 4096;

/** The same from one address: those who register from behind one router, and one-shots that ask. */
export const TRACKER_CONNECTIONS_PER_ADDRESS_MAX = 512;

/** Writers whose offers a tracker pulls at once, half of them of one address: peers that register and do not answer hold up few. */
export const TRACKER_PULLS_MAX = 64;

/** Lookups of one connection of which it is told changes: one of all, and one for each file that it is fetching. */
export const FOLLOWS_PER_CONNECTION_MAX = 32;

/** Changes of a registry kept for those who are behind, some 100 bytes each; beyond it they are told the whole anew. */
export const FOLLOW_LOG_MAX = 100_000;

/** Addresses of one registration that a tracker tries to connect back to: those of several cards, in two families. */
export const DIAL_BACKS_PER_PEER_MAX = 8;

/** Such attempts in a second, of all: each is a handshake of a good millisecond. */
export const DIAL_BACKS_PER_SECOND = 100;

/** Such attempts under way at once, an eighth of them asked for from one address: one that nobody answers takes seconds. */
export const DIAL_BACKS_AT_ONCE_MAX = 64;

/** Such attempts that wait for their turn: those of a thousand peers that come at once; beyond it an address counts as not reached. */
export const DIAL_BACKS_QUEUED_MAX = 8192;

/** Tunnels at once: passed on for others, and that end here, of each. What waits in each is a window each way: 128 MiB in all. */
export const TUNNELS_MAX = 64;

/** The same over one connection: a popular peer that nobody can dial has as many receivers by one tracker, and they have each other. */
export const TUNNELS_PER_LINK_MAX = 16;

/** The same for those of one address: half, so that others have the rest. */
export const TUNNELS_PER_ADDRESS_MAX = 32;

/** Bytes that may be under way through a tunnel each way: that of a gigabit over two connections and a busy relay. */
export const TUNNEL_WINDOW = MIB;

/** Milliseconds after which a tunnel through which nothing passes is ended by who passes it on: its ends say something more often. */
export const TUNNEL_IDLE_MS = 120_000;

/** Peers of one registry: twice the largest site that we aim at; beyond it those of the address with most give way. */
export const REGISTERED_MAX = 20_000;

/** The same of one address: a machine on which hundreds are tested, or an office behind one router. */
export const REGISTERED_PER_ADDRESS_MAX = 256;

/** New registrations of one address in a minute: all that it may have, coming back at once after a failure, and few more. */
export const REGISTRATIONS_PER_MINUTE = 300;

/** Addresses whose new registrations are counted: beyond it the one that registered longest ago begins anew. */
export const REGISTRATION_HOSTS_MAX = 4096;

/** Contents of which one peer says that it holds parts: those of many gets at once; beyond it the oldest is forgotten. */
export const HOLDINGS_MAX = 64;

/** Bytes of bit sets that one connection may touch in a second: one of the largest, told in stretches, is as much at once. */
export const HOLD_BYTES_PER_SECOND = 4 * MIB;

/** Pairs of an address and a peer that it has asked to dial, lately: beyond it the one that asked longest ago begins anew. */
export const SUMMONED_MAX = 4096;

/** Bytes of bit sets of what is held in part: of every chunk of 512 files as large as they may be; who has most gives way. */
export const HOLDING_BYTES_MAX = 64 * MIB;

/** Those that wait until it is clear whether the holder of an address lives; each further one hears at once that it is taken. */
export const CLAIMERS_MAX = 8;

/** Peers that would pass on, told to one who asks: some may be busy or out of reach. */
export const RELAYS_TOLD_MAX = 8;

/** Transfers that one peer was asked for and that have not ended: of a script that asks for each file of a folder by itself. */
export const JOBS_MAX = 1000;

/** Ended ones that are still told of, and for a day at most: a page or two of `status`. */
export const JOBS_ENDED_MAX = 100;

/** Files of one transfer that outlives its peer, some 150 bytes each in the state folder; one of more ends with it. */
export const JOB_FILES_MAX = 100_000;
