"""The same questions in eight languages, in other words, and in scripts RoutePlex cannot read; written by hand."""

LANGUAGES = ("English", "German", "French", "Spanish", "Chinese", "Japanese", "Arabic", "Hindi")

# One row a question, one column a language, in the order above.
QUESTIONS: tuple[tuple[str, ...], ...] = (
    (
        "Hi, how are you today?",
        "Hallo, wie geht es dir heute?",
        "Salut, comment vas-tu aujourd'hui ?",
        "Hola, ¿cómo estás hoy?",
        "你好，今天过得怎么样？",
        "こんにちは、今日はお元気ですか？",
        "مرحبا، كيف حالك اليوم؟",
        "नमस्ते, आज आप कैसे हैं?",
    ),
    (
        "What is the capital of France?",
        "Was ist die Hauptstadt von Frankreich?",
        "Quelle est la capitale de la France ?",
        "¿Cuál es la capital de Francia?",
        "法国的首都是哪里？",
        "フランスの首都はどこですか？",
        "ما هي عاصمة فرنسا؟",
        "फ्रांस की राजधानी क्या है?",
    ),
    (
        "Who wrote Don Quixote?",
        "Wer hat Don Quijote geschrieben?",
        "Qui a écrit Don Quichotte ?",
        "¿Quién escribió Don Quijote?",
        "《堂吉诃德》是谁写的？",
        "『ドン・キホーテ』を書いたのは誰ですか？",
        "من كتب دون كيشوت؟",
        "डॉन क्विक्सोट किसने लिखा था?",
    ),
    (
        "What is 13 times 7?",
        "Wie viel ist 13 mal 7?",
        "Combien font 13 fois 7 ?",
        "¿Cuánto es 13 por 7?",
        "13乘以7等于多少？",
        "13かける7はいくつですか？",
        "كم يساوي 13 ضرب 7؟",
        "13 गुणा 7 कितना होता है?",
    ),
    (
        "A train travels 180 kilometres in two and a half hours. What is its average speed?",
        "Ein Zug fährt 180 Kilometer in zweieinhalb Stunden. Was ist seine Durchschnittsgeschwindigkeit?",
        "Un train parcourt 180 kilomètres en deux heures et demie. Quelle est sa vitesse moyenne ?",
        "Un tren recorre 180 kilómetros en dos horas y media. ¿Cuál es su velocidad media?",
        "一列火车用两个半小时行驶了180公里。它的平均速度是多少？",
        "電車が2時間半で180キロメートル走ります。平均速度はいくらですか？",
        "يقطع قطار 180 كيلومترا في ساعتين ونصف. ما متوسط سرعته؟",
        "एक ट्रेन ढाई घंटे में 180 किलोमीटर चलती है। उसकी औसत गति क्या है?",
    ),
    (
        "Write a short poem about the sea in autumn.",
        "Schreibe ein kurzes Gedicht über das Meer im Herbst.",
        "Écris un court poème sur la mer en automne.",
        "Escribe un poema breve sobre el mar en otoño.",
        "写一首关于秋天大海的短诗。",
        "秋の海についての短い詩を書いてください。",
        "اكتب قصيدة قصيرة عن البحر في الخريف.",
        "शरद ऋतु के समुद्र पर एक छोटी कविता लिखो।",
    ),
    (
        "Draft a polite e-mail to my landlord asking him to repair the heating.",
        "Entwirf eine höfliche E-Mail an meinen Vermieter, in der ich ihn bitte, die Heizung zu reparieren.",
        "Rédige un courriel poli à mon propriétaire pour lui demander de réparer le chauffage.",
        "Redacta un correo educado a mi casero pidiéndole que repare la calefacción.",
        "帮我起草一封礼貌的邮件，请房东修理暖气。",
        "大家さんに暖房の修理をお願いする丁寧なメールの下書きを書いてください。",
        "اكتب مسودة رسالة مهذبة إلى مالك الشقة أطلب فيها إصلاح التدفئة.",
        "मेरे मकान मालिक को हीटर ठीक कराने के लिए एक विनम्र ईमेल का मसौदा लिखो।",
    ),
    (
        "Summarise in two sentences: The committee met on Tuesday, heard three reports on the new bridge and "
        "decided to wait with the vote until the costs are known.",
        "Fasse in zwei Sätzen zusammen: Der Ausschuss traf sich am Dienstag, hörte drei Berichte über die neue "
        "Brücke und beschloss, mit der Abstimmung zu warten, bis die Kosten bekannt sind.",
        "Résume en deux phrases : le comité s'est réuni mardi, a entendu trois rapports sur le nouveau pont et a "
        "décidé d'attendre que les coûts soient connus avant de voter.",
        "Resume en dos frases: el comité se reunió el martes, escuchó tres informes sobre el nuevo puente y "
        "decidió esperar a conocer los costes antes de votar.",
        "用两句话概括：委员会星期二开会，听取了关于新桥的三份报告，决定等到费用明确以后再投票。",
        "二文で要約してください。委員会は火曜日に開かれ、新しい橋について三つの報告を聞き、費用が分かるまで採決を待つことにした。",
        "لخص في جملتين: اجتمعت اللجنة يوم الثلاثاء واستمعت إلى ثلاثة تقارير عن الجسر الجديد وقررت تأجيل التصويت "
        "حتى تعرف التكاليف.",
        "दो वाक्यों में सार लिखो: समिति मंगलवार को मिली, नए पुल पर तीन रिपोर्टें सुनीं और लागत पता चलने तक मतदान रोकने का फ़ैसला किया।",
    ),
    (
        "Is this review positive or negative: the soup was cold and the waiter was rude.",
        "Ist diese Bewertung positiv oder negativ: Die Suppe war kalt und der Kellner war unhöflich.",
        "Cet avis est-il positif ou négatif : la soupe était froide et le serveur était impoli.",
        "¿Esta reseña es positiva o negativa?: la sopa estaba fría y el camarero fue grosero.",
        "这条评论是正面的还是负面的：汤是凉的，服务员也很没礼貌。",
        "このレビューは肯定的ですか、否定的ですか。スープは冷めていて、店員は失礼だった。",
        "هل هذا التقييم إيجابي أم سلبي: كان الحساء باردا وكان النادل وقحا.",
        "यह समीक्षा सकारात्मक है या नकारात्मक: सूप ठंडा था और वेटर बदतमीज़ था।",
    ),
    (
        "Why does ice float on water?",
        "Warum schwimmt Eis auf dem Wasser?",
        "Pourquoi la glace flotte-t-elle sur l'eau ?",
        "¿Por qué flota el hielo en el agua?",
        "为什么冰会浮在水面上？",
        "なぜ氷は水に浮くのですか？",
        "لماذا يطفو الجليد على الماء؟",
        "बर्फ़ पानी पर क्यों तैरती है?",
    ),
    (
        "Explain how vaccines train the immune system.",
        "Erkläre, wie Impfungen das Immunsystem trainieren.",
        "Explique comment les vaccins entraînent le système immunitaire.",
        "Explica cómo las vacunas entrenan al sistema inmunitario.",
        "解释一下疫苗是如何训练免疫系统的。",
        "ワクチンがどのように免疫を鍛えるのか説明してください。",
        "اشرح كيف تدرب اللقاحات جهاز المناعة.",
        "समझाओ कि टीके प्रतिरक्षा तंत्र को कैसे प्रशिक्षित करते हैं।",
    ),
    (
        "May my employer dismiss me during an illness? I work in Germany and have an open-ended contract.",
        "Darf mein Arbeitgeber mich während einer Krankheit kündigen? Ich arbeite in Deutschland unbefristet.",
        "Mon employeur peut-il me licencier pendant une maladie ? Je travaille en Allemagne en contrat à durée "
        "indéterminée.",
        "¿Puede mi empleador despedirme durante una enfermedad? Trabajo en Alemania con contrato indefinido.",
        "我生病期间雇主可以解雇我吗？我在德国工作，签的是无固定期限合同。",
        "病気の間に雇用主は私を解雇できますか？ドイツで無期契約で働いています。",
        "هل يجوز لصاحب العمل أن يفصلني أثناء المرض؟ أعمل في ألمانيا بعقد غير محدد المدة.",
        "क्या बीमारी के दौरान मेरा नियोक्ता मुझे निकाल सकता है? मैं जर्मनी में स्थायी अनुबंध पर काम करता हूँ।",
    ),
    (
        "Write a Python function that merges overlapping intervals.",
        "Schreibe eine Python-Funktion, die überlappende Intervalle zusammenfasst.",
        "Écris une fonction Python qui fusionne des intervalles qui se chevauchent.",
        "Escribe una función de Python que combine intervalos solapados.",
        "写一个合并重叠区间的Python函数。",
        "重なり合う区間をまとめるPythonの関数を書いてください。",
        "اكتب دالة بايثون تدمج الفترات المتداخلة.",
        "एक Python फ़ंक्शन लिखो जो एक-दूसरे पर चढ़े अंतरालों को मिला दे।",
    ),
    (
        "Refactor this service into modules without changing its behaviour, and keep all tests green: it has "
        "3000 lines, global state and callbacks.",
        "Zerlege diesen Dienst in Module, ohne sein Verhalten zu ändern, und halte alle Tests grün: Er hat 3000 "
        "Zeilen, globalen Zustand und Callbacks.",
        "Restructure ce service en modules sans changer son comportement, tous les tests devant rester verts : il "
        "a 3000 lignes, un état global et des callbacks.",
        "Refactoriza este servicio en módulos sin cambiar su comportamiento y manteniendo todas las pruebas en "
        "verde: tiene 3000 líneas, estado global y callbacks.",
        "把这个服务重构成模块，不改变行为，并保持所有测试通过：它有3000行代码、全局状态和回调。",
        "このサービスを動作を変えずにモジュールへリファクタリングし、すべてのテストを通したままにしてください。3000行あり、"
        "グローバルな状態とコールバックを使っています。",
        "أعد هيكلة هذه الخدمة إلى وحدات دون تغيير سلوكها مع بقاء كل الاختبارات ناجحة: فيها 3000 سطر وحالة عامة "
        "وردود نداء.",
        "इस सेवा को व्यवहार बदले बिना मॉड्यूलों में बाँटो और सारे टेस्ट पास रखो: इसमें 3000 पंक्तियाँ, ग्लोबल स्टेट और कॉलबैक हैं।",
    ),
    (
        "Prove that there are infinitely many prime numbers congruent to 3 modulo 4.",
        "Beweise, dass es unendlich viele Primzahlen gibt, die kongruent zu 3 modulo 4 sind.",
        "Démontre qu'il existe une infinité de nombres premiers congrus à 3 modulo 4.",
        "Demuestra que hay infinitos números primos congruentes con 3 módulo 4.",
        "证明存在无穷多个模4余3的素数。",
        "4を法として3と合同な素数が無限に存在することを証明してください。",
        "برهن على وجود عدد لا نهائي من الأعداد الأولية التي تطابق 3 قياس 4.",
        "सिद्ध करो कि 4 के सापेक्ष 3 शेष देने वाली अभाज्य संख्याएँ अनंत हैं।",
    ),
    (
        "Find all integer solutions of x^2 - 7y^2 = 2 with 0 < x < 500 and show that there are no others.",
        "Finde alle ganzzahligen Lösungen von x^2 - 7y^2 = 2 mit 0 < x < 500 und zeige, dass es keine weiteren gibt.",
        "Trouve toutes les solutions entières de x^2 - 7y^2 = 2 avec 0 < x < 500 et montre qu'il n'y en a pas "
        "d'autres.",
        "Encuentra todas las soluciones enteras de x^2 - 7y^2 = 2 con 0 < x < 500 y demuestra que no hay otras.",
        "求x^2 - 7y^2 = 2在0 < x < 500范围内的所有整数解，并证明没有其他解。",
        "0 < x < 500 の範囲で x^2 - 7y^2 = 2 の整数解をすべて求め、他にないことを示してください。",
        "أوجد كل الحلول الصحيحة للمعادلة x^2 - 7y^2 = 2 حيث 0 < x < 500 وبين أنه لا حلول غيرها.",
        "0 < x < 500 में x^2 - 7y^2 = 2 के सभी पूर्णांक हल निकालो और दिखाओ कि और कोई नहीं है।",
    ),
)

# Written after the dictionary of routing/decide/prediction/translation.tsv, which took no word from here.
AFTERWARDS: tuple[tuple[str, ...], ...] = (
    (
        "How do I get a red wine stain out of a carpet?",
        "Wie bekomme ich einen Rotweinfleck aus dem Teppich?",
        "Comment enlever une tache de vin rouge sur un tapis ?",
        "¿Cómo quito una mancha de vino tinto de la alfombra?",
        "怎么去掉地毯上的红酒渍？",
        "カーペットについた赤ワインのしみはどうやって取りますか？",
        "كيف أزيل بقعة نبيذ أحمر من السجادة؟",
        "कालीन से लाल शराब का दाग कैसे हटाऊँ?",
    ),
    (
        "What happens to time near a black hole?",
        "Was passiert mit der Zeit in der Nähe eines Schwarzen Lochs?",
        "Que devient le temps près d'un trou noir ?",
        "¿Qué le pasa al tiempo cerca de un agujero negro?",
        "在黑洞附近时间会发生什么变化？",
        "ブラックホールの近くで時間はどうなりますか？",
        "ماذا يحدث للوقت قرب ثقب أسود؟",
        "ब्लैक होल के पास समय का क्या होता है?",
    ),
    (
        "Translate 'see you tomorrow' into Italian.",
        "Übersetze 'bis morgen' ins Italienische.",
        "Traduis « à demain » en italien.",
        "Traduce «hasta mañana» al italiano.",
        "把“明天见”翻译成意大利语。",
        "「また明日」をイタリア語に翻訳してください。",
        "ترجم 'أراك غدا' إلى الإيطالية.",
        "'कल मिलते हैं' का इतालवी में अनुवाद करो।",
    ),
    (
        "Write an SQL query that lists the ten customers with the highest revenue last year.",
        "Schreibe eine SQL-Abfrage, die die zehn Kunden mit dem höchsten Umsatz des letzten Jahres auflistet.",
        "Écris une requête SQL qui liste les dix clients au chiffre d'affaires le plus élevé de l'an dernier.",
        "Escribe una consulta SQL que liste los diez clientes con más ingresos del año pasado.",
        "写一条SQL查询，列出去年营业额最高的十个客户。",
        "昨年の売上が最も高い十社の顧客を一覧にするSQLクエリを書いてください。",
        "اكتب استعلام SQL يسرد العملاء العشرة الأعلى إيرادا في العام الماضي.",
        "एक SQL क्वेरी लिखो जो पिछले साल सबसे ज़्यादा आय वाले दस ग्राहकों की सूची दे।",
    ),
    (
        "Determine the eigenvalues of the matrix [[2, 1], [1, 2]] and prove that it is positive definite.",
        "Bestimme die Eigenwerte der Matrix [[2, 1], [1, 2]] und beweise, dass sie positiv definit ist.",
        "Détermine les valeurs propres de la matrice [[2, 1], [1, 2]] et démontre qu'elle est définie positive.",
        "Determina los valores propios de la matriz [[2, 1], [1, 2]] y demuestra que es definida positiva.",
        "求矩阵[[2, 1], [1, 2]]的特征值，并证明它是正定的。",
        "行列[[2, 1], [1, 2]]の固有値を求め、正定値であることを証明してください。",
        "حدد القيم الذاتية للمصفوفة [[2, 1], [1, 2]] وأثبت أنها موجبة التعريف.",
        "आव्यूह [[2, 1], [1, 2]] के आइगेन मान निकालो और सिद्ध करो कि यह धनात्मक निश्चित है।",
    ),
    (
        "My knee hurts after running. Which exercises help, and when should I see a doctor?",
        "Mein Knie tut nach dem Laufen weh. Welche Übungen helfen, und wann sollte ich zum Arzt?",
        "J'ai mal au genou après la course. Quels exercices aident, et quand dois-je consulter un médecin ?",
        "Me duele la rodilla después de correr. ¿Qué ejercicios ayudan y cuándo debo ir al médico?",
        "我跑步后膝盖疼。哪些练习有帮助，什么时候应该去看医生？",
        "走った後に膝が痛みます。どんな運動が効き、いつ医者に行くべきですか？",
        "تؤلمني ركبتي بعد الجري. أي التمارين تساعد ومتى يجب أن أزور الطبيب؟",
        "दौड़ने के बाद मेरे घुटने में दर्द होता है। कौन से व्यायाम मदद करते हैं और डॉक्टर को कब दिखाऊँ?",
    ),
)

# An English question, then the same formally, chattily, with slips of the keyboard, and behind courtesies.
PARAPHRASES: tuple[tuple[str, ...], ...] = (
    (
        "What is the capital of France?",
        "Please state the capital city of the French Republic.",
        "hey so what's france's capital again",
        "waht is teh captial of frnace",
        "Good morning! I hope you are well. Could you kindly tell me what the capital of France is? Thank you!",
    ),
    (
        "Why does ice float on water?",
        "For what physical reason does ice float upon water?",
        "ok dumb question but why's ice float",
        "why dose ice flaot on watr?",
        "Hello, sorry to bother you. I was wondering whether you could explain why ice floats on water. Thanks!",
    ),
    (
        "Write a short poem about the sea in autumn.",
        "Compose a brief poem treating of the sea in autumn.",
        "gimme a little poem about the sea in fall pls",
        "writ a short peom about teh sea in autum",
        "Hi there! If it is not too much trouble, would you write me a short poem about the autumn sea? Thanks!",
    ),
    (
        "Write a Python function that merges overlapping intervals.",
        "Provide an implementation, in Python, of a function that merges overlapping intervals.",
        "need a quick python func to merge overlapping intervals",
        "wrtie a pyhton funciton that mergs overlaping intervals",
        "Hello! Could you please help me and write a Python function that merges overlapping intervals? Many thanks.",
    ),
    (
        "A train travels 180 kilometres in two and a half hours. What is its average speed?",
        "Determine the average speed of a train that covers 180 kilometres in two and one half hours.",
        "so a train does 180 km in 2.5 hours, how fast is that on average",
        "A trian travles 180 kilometers in two and a half huors. Waht is its avarage speed?",
        "Hi! Please help me with homework: a train travels 180 kilometres in two and a half hours; what is its "
        "average speed? Thank you so much!",
    ),
    (
        "Prove that there are infinitely many prime numbers congruent to 3 modulo 4.",
        "Give a rigorous demonstration of the infinitude of primes congruent to 3 modulo 4.",
        "how do you prove theres infinitely many primes that are 3 mod 4",
        "prove taht there are infinitly many prime numebrs congruent to 3 modulo 4",
        "Good evening, could you please be so kind as to prove that infinitely many primes are congruent to 3 "
        "modulo 4? Thank you.",
    ),
)

# What is asked in them must not go to less than the English twin, whether or not anything reads them.
UNKNOWN_SCRIPTS: tuple[tuple[str, str], ...] = (
    ("What is the capital of France?", "የፈረንሳይ ዋና ከተማ ማን ናት?"),
    ("What is the capital of France?", "რომელია საფრანგეთის დედაქალაქი?"),
    ("What is the capital of France?", "តើរដ្ឋធានីរបស់ប្រទេសបារាំងគឺជាអ្វី?"),
    ("Why does ice float on water?", "பனிக்கட்டி ஏன் தண்ணீரில் மிதக்கிறது?"),
    ("Why does ice float on water?", "ကျောက်ခဲရေခဲသည် ရေပေါ်တွင် အဘယ်ကြောင့် ပေါလောပေါ်သနည်း။"),
    ("Write a short poem about the sea in autumn.", "བོད་ཡིག་ནང་རྒྱ་མཚོའི་སྐོར་ལ་སྙན་ངག་ཐུང་ངུ་ཞིག་བྲིས།"),
    ("Hi, how are you today?", "🙂👋❓🌞🌧️"),
    ("Hi, how are you today?", "ꦲꦭꦺꦴ ꦥꦶꦪꦺ ꦏꦧꦫꦺ"),
)
